"""The interface between the AWS protocol and the operations: a call, its result, and the handler between them.

A handler gets validated input and returns output, both with the member names of the service model. Routing,
authentication, authorization, validation, serialization and error responses are done around it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The identity that signed the request. `arn` is the ARN of its IAM user."""

    access_key_id: str
    account_id: str
    arn: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated, authorised and validated request. An absent member is not in `request`; none is None."""

    caller: Caller
    request: Mapping[str, Any]


Result: TypeAlias = Mapping[str, Any] | bytes
"""The members of the output, with timestamps as integer milliseconds since the epoch; None members are left out. Or, on
a hot path, the encoded JSON body."""

Handler: TypeAlias = Callable[[Call], Awaitable[Result]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that Stagebook serves.

    `resource_member` is the input member with the ARN for which the policy is evaluated. With None, it is evaluated for
    all resources of the type in the caller's account. The policy must also allow the action on the ARNs in
    `further_resource_members`. An ARN of another account or region is refused before the handler runs.
    """

    name: str
    handle: Handler
    resource_member: str | None = None
    further_resource_members: tuple[str, ...] = ()

"""What an operation of the AWS door is: its name, what it acts on, and how it answers.

The wire (routing, validation, signature, policy, serialisation, errors) is elsewhere; handlers see validated input in
the model's own member names, and answer in them.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed the request."""

    access_key_id: str
    account_id: str
    arn: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated, authorised and validated request. Absent members are absent, never None."""

    caller: Caller
    request: Mapping[str, Any]


Result: TypeAlias = Mapping[str, Any] | bytes
"""The output members in the model's names (datetimes as integer milliseconds since the epoch; None members are left
out), or on a hot path the finished JSON body."""

Handler: TypeAlias = Callable[[Call], Result | Awaitable[Result]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that Stagebook serves.

    `resource_member` names the input member that holds the ARN the policy is asked about; None asks about every
    resource of the caller's account. It must allow the action on the ARNs of `further_resource_members`, too. An ARN of
    another account or region is refused before the handler runs.
    """

    name: str
    handle: Handler
    resource_member: str | None = None
    further_resource_members: tuple[str, ...] = ()

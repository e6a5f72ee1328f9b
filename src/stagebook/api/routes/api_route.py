"""The routes of an API as values: what a request must look like, who may make it, and what answers it.

Query parameters and JSON bodies are msgspec structs, so their types and constraints are stated once: the API validates
with them, and the OpenAPI document describes them.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import msgspec

from stagebook.api.asgi import Header, Scope
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError

ReadBody: TypeAlias = Callable[[], Awaitable[bytes]]


class Role(StrEnum):
    """What the holder of a key may do. An operator may do what a reader may."""

    READER = "reader"
    OPERATOR = "operator"


class ApiCaller(Protocol):
    """An authenticated caller."""

    @property
    def account_id(self) -> str:
        """The account whose events and sessions it may read."""

    @property
    def name(self) -> str:
        """What the log calls it. Not a secret."""

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Raise ApiRefusedError unless it may do `action` (`stagebook:SearchEvents`) on `resource`, an ARN.

        None stands for all resources of the account.
        """


class Nobody:
    """The caller of a public route. It may do nothing that needs a permission."""

    account_id = ""
    name = "nobody"

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:  # noqa: ARG002 - as in ApiCaller
        """Raise ApiRefusedError 401."""
        raise ApiRefusedError(
            status=401,
            code=ApiProblemCode.UNAUTHENTICATED,
            detail=f"{action} needs a caller with the role {role.value}",
        )


NOBODY = Nobody()


class ApiAccess(Protocol):
    """Authenticates requests."""

    async def authenticate(self, scope: Scope, read_body: ReadBody) -> ApiCaller:
        """Return the caller of a request. Raises ApiRefusedError 401 without valid credentials.

        `read_body` returns the body. It is read only if the header fields name credentials that are known.
        """


class EmptyParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of a route that has none."""


class ApiCall(msgspec.Struct, frozen=True, kw_only=True):
    """An authorised request.

    `path` has the values of the placeholders of the route's template. `query` and `body` are of the types that the
    route declares; `body` is None for a route without a body. `client_address` is an IP address, empty if it is not
    known. `headers` has the lines of a field joined by commas.
    """

    caller: ApiCaller
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[bytes, bytes]
    client_address: str = ""


class StreamingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response whose body is produced while it is sent. A client that disconnects closes the generator."""

    status: int = 200
    headers: tuple[Header, ...] = ()
    parts: AsyncGenerator[bytes, None]


ApiResponse: TypeAlias = HttpResponse | StreamingResponse
Handle: TypeAlias = Callable[[ApiCall], Awaitable[ApiResponse]]


class ApiRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of an API.

    `template` is the path, with placeholders: `/watch/v1/sessions/{session_id}`. `action` is the operation's name,
    which policies spell `stagebook:<action>`. `query`, `body` and `response` are msgspec structs, or `msgspec.Raw` for
    any JSON. With `is_body_optional`, an empty body is an empty object. `content_type` is that of the response;
    `other_content_types` are those of responses without JSON that a parameter chooses. `path_values` has the values of
    a placeholder that has no others. `header_parameters` has the header fields that the route reads, and whether each
    is required.
    `messages` are the structs that the messages of a stream of events have as JSON.
    `error` is the body of errors that are no problem documents. A public route needs no authentication.

    A completed request to a route of role operator is logged.
    """

    method: str
    template: str
    action: str
    summary: str
    handle: Handle
    role: Role = Role.READER
    query: type[msgspec.Struct] = EmptyParameters
    body: type[msgspec.Struct] | type[msgspec.Raw] | None = None
    is_body_optional: bool = False
    response: type[msgspec.Struct] | None = None
    status: int = 200
    content_type: str = "application/json"
    other_content_types: tuple[str, ...] = ()
    messages: tuple[type[msgspec.Struct], ...] = ()
    path_values: Mapping[str, tuple[str, ...]] = {}
    header_parameters: Mapping[str, bool] = {}
    error: type[msgspec.Struct] | None = None
    is_public: bool = False


def json_response(value: object, *, status: int = 200) -> HttpResponse:
    """Return a response with a value as JSON."""
    return HttpResponse(
        status=status, headers=((b"content-type", b"application/json"),), body=msgspec.json.encode(value)
    )

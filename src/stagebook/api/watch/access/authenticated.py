"""What is known about the caller of an authenticated request, beside what `ApiCaller` says."""

from enum import StrEnum
from typing import Protocol, cast

import msgspec

from stagebook.api.access.policy import Identity
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import Role


class AuthenticationMethod(StrEnum):
    """How a request was authenticated."""

    BEARER_KEY = "bearer_key"
    SIGNATURE = "signature"
    SESSION = "session"
    OFF = "off"
    """Authentication is switched off."""


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller. `identity` is as whom it calls operations of the AWS API.

    `role` is None for a caller with a policy. `expires_ms` is when its key or session ends, in milliseconds since the
    epoch. `session_digest` names its session.
    """

    method: AuthenticationMethod
    name: str
    identity: Identity
    role: Role | None = None
    expires_ms: int | None = None
    session_digest: str | None = None


class HasFacts(Protocol):
    """A caller that `WatchAuthentication` has authenticated."""

    @property
    def facts(self) -> Authenticated:
        """What is known about the caller."""


def facts_of(watcher: object) -> Authenticated:
    """Return what is known about a caller that `WatchAuthentication` has authenticated."""
    return cast("HasFacts", watcher).facts


def unauthenticated(detail: str) -> ApiRefusedError:
    """Return the refusal of a request without valid credentials (RFC 9110 section 15.5.2, RFC 6750 section 3)."""
    return ApiRefusedError(
        status=401,
        code=ApiProblemCode.UNAUTHENTICATED,
        detail=detail,
        headers=((b"www-authenticate", b'Bearer realm="Stagebook"'),),
    )


def forbidden(detail: str) -> ApiRefusedError:
    """Return the refusal of a request whose caller may not make it."""
    return ApiRefusedError(status=403, code=ApiProblemCode.FORBIDDEN, detail=detail)


def too_many(detail: str) -> ApiRefusedError:
    """Return the refusal of a request above a rate."""
    return ApiRefusedError(
        status=429, code=ApiProblemCode.TOO_MANY_REQUESTS, detail=detail, headers=((b"retry-after", b"1"),)
    )

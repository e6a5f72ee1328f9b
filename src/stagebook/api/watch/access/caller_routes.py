"""Signing in to the console and out of it, and who the caller is.

    POST /watch/v1/sign-in      a bearer key becomes a cookie
    POST /watch/v1/sign-out     the session of the cookie ends
    GET /watch/v1/me            the caller, and the server that answers

A page of another origin must not sign its visitor in either: with a session of the attacker's, the visitor could not
tell whose stages they see. So signing in needs the header field of the console, as every change with a cookie does.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
import structlog

from stagebook.api.access.token_bucket import TokenBuckets
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Role, json_response
from stagebook.api.watch.access.authenticated import Authenticated, AuthenticationMethod, facts_of, too_many
from stagebook.api.watch.access.browser_guard import BrowserGuard
from stagebook.api.watch.access.console_sessions import (
    LIFETIME_SECONDS,
    MAXIMUM_SESSIONS,
    MAXIMUM_SESSIONS_PER_KEY,
    ConsoleSessions,
)
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.api.watch.access.watch_authentication import WatchAuthentication
from stagebook.client_network import plain_address
from stagebook.stage.timestamps import iso8601

SIGN_INS_PER_SECOND = 1.0
"""Of one key, after MAXIMUM_SESSIONS_PER_KEY at once. Each writes a line to the log."""
_log = structlog.get_logger(__name__)


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a sign-in. `repr` leaves the key out."""

    key: Annotated[str, msgspec.Meta(max_length=256)]

    def __repr__(self) -> str:
        return "SignIn(...)"


class WatchIdentity(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The caller of a request, and the server. A caller with a policy has no role."""

    account_id: str
    name: str
    method: AuthenticationMethod
    version: str
    region: str
    endpoint_url: str
    role: Role | None = None
    expires_at: str | None = None


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller learns about the server."""

    version: str
    region: str
    endpoint_url: str


class CallerRoutes:
    """The routes about the caller. `monotonic` returns seconds of a clock that never goes back."""

    def __init__(
        self,
        *,
        server: ServerFacts,
        authentication: WatchAuthentication,
        sessions: ConsoleSessions,
        cookie: SessionCookie,
        guard: BrowserGuard,
        monotonic: Callable[[], float],
    ) -> None:
        self._server = server
        self._authentication = authentication
        self._sessions = sessions
        self._cookie = cookie
        self._guard = guard
        self._sign_ins = TokenBuckets(
            burst=MAXIMUM_SESSIONS_PER_KEY,
            per_second=SIGN_INS_PER_SECOND,
            monotonic=monotonic,
            maximum=MAXIMUM_SESSIONS,
        )

    def routes(self) -> list[ApiRoute]:
        """Return the routes."""
        return [
            ApiRoute(
                method="POST",
                template="/watch/v1/sign-in",
                action="SignIn",
                summary="Open a session of the console with a bearer key",
                handle=self._sign_in,
                is_public=True,
                header_parameters={"X-Stagebook-Console": True},
                body=SignIn,
                response=WatchIdentity,
            ),
            ApiRoute(
                method="POST",
                template="/watch/v1/sign-out",
                action="SignOut",
                summary="End the session of the console",
                handle=self._sign_out,
                status=204,
            ),
            ApiRoute(
                method="GET",
                template="/watch/v1/me",
                action="GetCaller",
                summary="The caller and the server",
                handle=self._show,
                response=WatchIdentity,
            ),
        ]

    async def _sign_in(self, call: ApiCall) -> ApiResponse:
        self._guard.check_host(call.headers)
        self._guard.check_sign_in(call.headers)
        key = self._authentication.require_key(call.body.key, address=call.client_address)
        if not self._sign_ins.take(key.key_id):
            raise too_many("too many sign-ins with this key")
        session_id = self._sessions.open(key)
        watcher = self._authentication.user_of(session_id)
        assert watcher is not None, "the session was opened now"  # noqa: S101 - for mypy
        _log.info(
            "console sign-in",
            key_id=key.key_id,
            account_id=key.account_id,
            role=key.role.value,
            address=plain_address(call.client_address),
        )
        return self._identity(watcher.facts, self._cookie.set_header(session_id, lifetime_seconds=LIFETIME_SECONDS))

    async def _sign_out(self, call: ApiCall) -> ApiResponse:
        facts = facts_of(call.caller)
        if facts.session_digest is not None:
            self._sessions.close(facts.session_digest)
            _log.info("console sign-out", key_id=facts.identity.access_key_id, account_id=facts.identity.account_id)
        return HttpResponse(status=204, headers=(self._cookie.clear_header(),))

    async def _show(self, call: ApiCall) -> ApiResponse:
        call.caller.require("stagebook:GetCaller", Role.READER)
        return self._identity(facts_of(call.caller))

    def _identity(self, facts: Authenticated, *headers: tuple[bytes, bytes]) -> HttpResponse:
        response = json_response(
            WatchIdentity(
                account_id=facts.identity.account_id,
                name=facts.name,
                method=facts.method,
                role=facts.role,
                expires_at=None if facts.expires_ms is None else iso8601(facts.expires_ms),
                version=self._server.version,
                region=self._server.region,
                endpoint_url=self._server.endpoint_url,
            )
        )
        return msgspec.structs.replace(response, headers=(*response.headers, *headers))

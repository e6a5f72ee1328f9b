"""Who makes a request to the watch API.

    Authorization: Bearer sbk_...               the holder of a bearer key, with a role
    Authorization: AWS4-HMAC-SHA256 ...         the holder of an access key of the AWS API, with a policy
    Cookie                                      a session of the console, with the role of the key that opened it
    auth = "off"                                everybody, as an operator

Failures have a limit for each client network. Every wrong bearer key has the same answer.
"""

from collections.abc import Callable, Mapping

import structlog

from stagebook.api.access.failed_attempts import FailedAttempts
from stagebook.api.access.policy import Identity
from stagebook.api.access.sigv4.authorization_header import ALGORITHM, SignatureRefusedError
from stagebook.api.asgi import Scope, read_headers
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import ApiCaller, ReadBody, Role
from stagebook.api.watch.access.authenticated import Authenticated, AuthenticationMethod, too_many, unauthenticated
from stagebook.api.watch.access.bearer_key import PREFIX, BearerKey, id_of
from stagebook.api.watch.access.bearer_keys import BearerKeys
from stagebook.api.watch.access.browser_guard import BrowserGuard
from stagebook.api.watch.access.console_sessions import ConsoleSessions
from stagebook.api.watch.access.role_watcher import OPERATIONS_OF_ROLES, RoleWatcher
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.api.watch.access.signed_requests import SignedRequests
from stagebook.client_network import plain_address
from stagebook.log_rate_limit import LogRateLimit

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_log = structlog.get_logger(__name__)


class WatchAuthentication:
    """Implements `ApiAccess`. With `open_account_id`, authentication is off: everybody is an operator of it."""

    def __init__(
        self,
        *,
        keys: BearerKeys,
        sessions: ConsoleSessions,
        cookie: SessionCookie,
        signed: SignedRequests,
        guard: BrowserGuard,
        region: str,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
        open_account_id: str | None = None,
    ) -> None:
        self._keys = keys
        self._sessions = sessions
        self._cookie = cookie
        self._signed = signed
        self._guard = guard
        self._region = region
        self._now_ms = now_ms
        self._open_account_id = open_account_id
        self._failures = FailedAttempts(monotonic=monotonic)
        self._log_limit = LogRateLimit(clock=monotonic)

    async def authenticate(self, scope: Scope, read_body: ReadBody) -> ApiCaller:
        """Return the caller of a request. Raises ApiRefusedError 401, 403 or 429."""
        headers = read_headers(scope["headers"])
        if self._open_account_id is not None:
            self._guard.check_host(headers)
            self._guard.check_origin(headers)
            return self._open_watcher(self._open_account_id)
        authorization = headers.get(b"authorization")
        if authorization is None:
            return self._from_cookie(scope, headers)
        scheme, _, credentials = authorization.strip().partition(b" ")
        address = client_address(scope)
        if scheme.lower() == b"bearer":
            return self.holder_of(self.require_key(credentials.strip().decode("latin-1"), address=address))
        if scheme == ALGORITHM:
            try:
                return await self._signed.verify(scope, headers, read_body)
            except SignatureRefusedError as error:
                raise self._failure(address, error.message, reason=error.refusal.value) from None
        raise unauthenticated("the Authorization header field must have the scheme Bearer or AWS4-HMAC-SHA256")

    def require_key(self, text: str, *, address: str) -> BearerKey:
        """Return the valid key with this text. Raises ApiRefusedError 401, and 429 above the limit of a network."""
        key = self._keys.authenticate(text)
        if key is None:
            detail = "the key is unknown, expired or revoked"
            raise self._failure(address, detail, reason="bearer key", key_id=id_of(text) or "")
        return key

    def holder_of(self, key: BearerKey) -> RoleWatcher:
        """Return the holder of a key as a caller."""
        facts = self._facts(key, AuthenticationMethod.BEARER_KEY)
        return self._role_watcher(facts, key.role, lambda: self._keys.find(key.key_id) is not None)

    def user_of(self, session_id: str) -> RoleWatcher | None:
        """Return the user of a console session as a caller; None if the session has ended."""
        found = self._sessions.use(session_id)
        if found is None:
            return None
        session, key = found
        ends_ms = self._now_ms() + int(self._sessions.remaining_seconds(session) * 1_000)
        facts = self._facts(
            key,
            AuthenticationMethod.SESSION,
            expires_ms=ends_ms if key.expires_ms is None else min(ends_ms, key.expires_ms),
            session_digest=session.digest,
        )
        return self._role_watcher(facts, key.role, lambda: self._sessions.use_digest(session.digest) is not None)

    def _from_cookie(self, scope: Scope, headers: Mapping[bytes, bytes]) -> ApiCaller:
        self._guard.check_host(headers)
        session_id = self._cookie.read(headers.get(b"cookie", b""))
        if session_id is None:
            raise unauthenticated("send a bearer key or a signature in the Authorization header field, or sign in")
        watcher = self.user_of(session_id)
        if watcher is None:
            raise unauthenticated("the session has ended: sign in again")
        if scope["method"] in _SAFE_METHODS:
            self._guard.check_origin(headers)
        else:
            self._guard.check_change(headers)
        return watcher

    def _open_watcher(self, account_id: str) -> ApiCaller:
        identity = Identity(
            access_key_id="",
            account_id=account_id,
            arn=f"arn:aws:iam::{account_id}:user/stagebook",
            policy=OPERATIONS_OF_ROLES[Role.OPERATOR],
        )
        facts = Authenticated(method=AuthenticationMethod.OFF, name="anybody", identity=identity, role=Role.OPERATOR)
        return self._role_watcher(facts, Role.OPERATOR, lambda: True)

    def _facts(
        self,
        key: BearerKey,
        method: AuthenticationMethod,
        *,
        expires_ms: int | None = None,
        session_digest: str | None = None,
    ) -> Authenticated:
        identity = Identity(
            access_key_id=key.key_id,
            account_id=key.account_id,
            arn=f"arn:aws:iam::{key.account_id}:user/{PREFIX}_{key.key_id}",
            policy=OPERATIONS_OF_ROLES[key.role],
        )
        return Authenticated(
            method=method,
            name=f"{key.key_id} ({key.name})" if key.name else key.key_id,
            identity=identity,
            role=key.role,
            expires_ms=key.expires_ms if expires_ms is None else expires_ms,
            session_digest=session_digest,
        )

    def _role_watcher(self, facts: Authenticated, role: Role, is_valid: Callable[[], bool]) -> RoleWatcher:
        return RoleWatcher(facts, role=role, region=self._region, is_valid=is_valid)

    def _failure(self, address: str, detail: str, *, reason: str, key_id: str = "") -> ApiRefusedError:
        """Return the refusal of credentials, and log it at a limited rate."""
        if not self._failures.admit(address):
            return too_many("too many failed attempts from this address")
        if (more := self._log_limit.admit("failed")) is not None:
            _log.warning(
                "watch authentication failed", address=plain_address(address), reason=reason, key_id=key_id, **more
            )
        return unauthenticated(detail)


def client_address(scope: Scope) -> str:
    """Return the IP address of the client of a request, empty if it is not known."""
    return str((scope.get("client") or ("",))[0])

"""Who makes a request to the watch API: the holder of a bearer key, or anybody while authentication is off.

Failures have one answer, whatever is wrong with the key, and a limit for each client network.
"""

from collections.abc import Callable, Mapping

import structlog

from stagebook.api.access.failed_attempts import FailedAttempts
from stagebook.api.asgi import Scope
from stagebook.api.watch.access.bearer_key import BearerKey, id_of
from stagebook.api.watch.access.bearer_keys import BearerKeys
from stagebook.api.watch.access.browser_guard import BrowserGuard
from stagebook.api.watch.access.role_watcher import RoleWatcher, unauthenticated
from stagebook.api.watch.watch_problems import WatchProblemCode, WatchRefusedError
from stagebook.api.watch.watch_route import ReadBody, Role, Watcher
from stagebook.client_network import plain_address
from stagebook.log_rate_limit import LogRateLimit

_BEARER = b"bearer "
_log = structlog.get_logger(__name__)


class WatchAuthentication:
    """Implements `WatchAccess`. With `open_account_id`, authentication is off: everybody is an operator of it."""

    def __init__(
        self,
        *,
        keys: BearerKeys,
        guard: BrowserGuard,
        region: str,
        monotonic: Callable[[], float],
        open_account_id: str | None = None,
    ) -> None:
        self._keys = keys
        self._guard = guard
        self._region = region
        self._open_account_id = open_account_id
        self._failures = FailedAttempts(monotonic=monotonic)
        self._log_limit = LogRateLimit(clock=monotonic)

    async def authenticate(self, scope: Scope, _read_body: ReadBody) -> Watcher:
        """Return the caller of a request. Raises WatchRefusedError 401, 403 or 429."""
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization")
        if self._open_account_id is not None:
            return self._open_watcher(headers, self._open_account_id)
        if authorization is None:
            self._guard.check_host(headers)
            raise unauthenticated("send a bearer key in the Authorization header field")
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise unauthenticated("the scheme of the Authorization header field must be Bearer")
        text = authorization[len(_BEARER) :].strip().decode("latin-1")
        key = self._keys.authenticate(text)
        if key is None:
            raise self._failure(scope, text)
        return self._key_holder(key)

    def _open_watcher(self, headers: Mapping[bytes, bytes], account_id: str) -> Watcher:
        self._guard.check_host(headers)
        self._guard.check_origin(headers)
        return RoleWatcher(
            account_id=account_id,
            name="authentication is off",
            role=Role.OPERATOR,
            region=self._region,
            is_valid=lambda: True,
        )

    def _key_holder(self, key: BearerKey) -> Watcher:
        return RoleWatcher(
            account_id=key.account_id,
            name=f"{key.key_id} ({key.name})" if key.name else key.key_id,
            role=key.role,
            region=self._region,
            is_valid=lambda: self._keys.find(key.key_id) is not None,
        )

    def _failure(self, scope: Scope, text: str) -> WatchRefusedError:
        """Return the refusal of a key, and log it at a limited rate."""
        if not self._failures.admit(scope):
            return WatchRefusedError(
                status=429,
                code=WatchProblemCode.TOO_MANY_REQUESTS,
                detail="too many failed attempts from this address",
                headers=((b"retry-after", b"1"),),
            )
        if (more := self._log_limit.admit("failed")) is not None:
            address = plain_address((scope.get("client") or ("",))[0])
            _log.warning("watch authentication failed", address=address, key_id=id_of(text) or "", **more)
        return unauthenticated("the key is unknown, expired or revoked")

"""The bearer keys of a running server. It notices within a second that the command line has made or revoked one.

The keys are in a file, or beside a book in a database. They are read when their stamp has changed: the status of the
file (`stat`), which is looked at once per second at most, so a request costs a hash and a comparison.
"""

import hmac
from collections.abc import Callable, Hashable, Iterable

import structlog

from stagebook.api.watch.access.bearer_key import BearerKey, digest_of, id_of

REFRESH_SECONDS = 1.0

_NO_DIGEST = "0" * 64
_log = structlog.get_logger(__name__)


class BearerKeys:
    """Finds the key of a text.

    `stamp` returns a value that differs when the keys have changed, `read` returns all keys. `refresh_seconds` is how
    often the stamp is asked for, at most. While `read` fails, no key
    is valid: a key that has been revoked must not be accepted because its file cannot be read.
    """

    def __init__(
        self,
        *,
        stamp: Callable[[], Hashable],
        read: Callable[[], Iterable[BearerKey]],
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._refresh_seconds = refresh_seconds
        self._stamp = stamp
        self._read = read
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._refreshed_at_seconds = -refresh_seconds
        self._read_stamp: Hashable = object()
        self._is_unreadable = False
        self._by_id: dict[str, BearerKey] = {}

    def authenticate(self, text: str) -> BearerKey | None:
        """Return the key with this text; None if there is none, if it has expired, and for any other text.

        The time that this takes does not show whether the id exists.
        """
        key_id = id_of(text)
        if key_id is None:
            return None
        key = self.find(key_id)
        expected = _NO_DIGEST if key is None else key.digest
        return key if hmac.compare_digest(expected, digest_of(text)) else None

    def has_account(self, account_id: str) -> bool:
        """Return whether a valid key is of this account."""
        self._refresh()
        now_ms = self._now_ms()
        return any(key.account_id == account_id and key.is_valid_at(now_ms) for key in self._by_id.values())

    def find(self, key_id: str) -> BearerKey | None:
        """Return the key of an id, None if there is none or if it has expired or was revoked."""
        self._refresh()
        key = self._by_id.get(key_id)
        return key if key is not None and key.is_valid_at(self._now_ms()) else None

    def _refresh(self) -> None:
        now_seconds = self._monotonic()
        if now_seconds - self._refreshed_at_seconds < self._refresh_seconds:
            return
        self._refreshed_at_seconds = now_seconds
        try:
            # The stamp is taken first: a change after it is noticed by the next refresh.
            stamp = self._stamp()
            if stamp == self._read_stamp:
                return
            self._by_id = {key.key_id: key for key in self._read()}
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, no key is valid
            if not self._is_unreadable:
                _log.error("the bearer keys cannot be read: none is valid", reason=str(error))
            self._is_unreadable = True
            self._by_id = {}
            self._read_stamp = object()  # equal to no stamp, so that the next refresh reads again
            return
        self._is_unreadable = False
        self._read_stamp = stamp

"""The sessions of the console: a browser signs in with a bearer key and gets a cookie for it.

The cookie holds a random id, and the server keeps its SHA-256, in memory only: a restart signs everybody out. The id
begins with the account, so that any node of a cluster knows which one has the session. A session ends when its key is
revoked or expires, when it has not been used for IDLE_SECONDS, LIFETIME_SECONDS after the sign-in, and when the user
signs out. Both times use the monotonic clock, so that a changed wall clock extends no session.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

import msgspec

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.api.watch.access.bearer_keys import BearerKeys
from stagebook.stage.clock import Randomness

LIFETIME_SECONDS = 12 * 3_600.0
IDLE_SECONDS = 2 * 3_600.0
MAXIMUM_SESSIONS = 10_000
MAXIMUM_SESSIONS_PER_KEY = 100
"""Above a maximum, the session that has not been used for the longest time is ended."""
_ID_SIZE_BYTES = 32
_ID = re.compile(rf"([0-9]{{12}})\.[0-9a-f]{{{2 * _ID_SIZE_BYTES}}}")


class ConsoleSession(msgspec.Struct, kw_only=True):
    """A session. `digest` is the SHA-256 of its id; times are seconds of the monotonic clock."""

    digest: str
    key_id: str
    opened_at_seconds: float
    used_at_seconds: float


class ConsoleSessions:
    """All sessions. `monotonic` returns seconds of a clock that never goes back."""

    def __init__(self, *, keys: BearerKeys, randomness: Randomness, monotonic: Callable[[], float]) -> None:
        self._keys = keys
        self._randomness = randomness
        self._monotonic = monotonic
        self._by_digest: OrderedDict[str, ConsoleSession] = OrderedDict()
        self._digests_of_keys: dict[str, OrderedDict[str, None]] = {}
        """In both, the session that was used last is the last one."""

    def __len__(self) -> int:
        return len(self._by_digest)

    def open(self, key: BearerKey) -> str:
        """Begin a session for a valid key and return its id, which is a secret."""
        session_id = f"{key.account_id}.{self._randomness.token_bytes(_ID_SIZE_BYTES).hex()}"
        now_seconds = self._monotonic()
        if len(self._digests_of_keys.get(key.key_id, ())) >= MAXIMUM_SESSIONS_PER_KEY:
            self.close(next(iter(self._digests_of_keys[key.key_id])))
        elif len(self._by_digest) >= MAXIMUM_SESSIONS:
            self.close(next(iter(self._by_digest)))
        digest = _digest_of(session_id)
        self._digests_of_keys.setdefault(key.key_id, OrderedDict())[digest] = None
        self._by_digest[digest] = ConsoleSession(
            digest=digest, key_id=key.key_id, opened_at_seconds=now_seconds, used_at_seconds=now_seconds
        )
        return session_id

    def use(self, session_id: str) -> tuple[ConsoleSession, BearerKey] | None:
        """Return the session of an id and its key; None if it has ended."""
        digest = _digest_of(session_id)
        key = self.use_digest(digest)
        return None if key is None else (self._by_digest[digest], key)

    def use_digest(self, digest: str) -> BearerKey | None:
        """Return the key of a session that has not ended. It counts as used now."""
        session = self._by_digest.get(digest)
        if session is None:
            return None
        key = self._keys.find(session.key_id)
        if key is None or self.remaining_seconds(session) <= 0:
            self.close(digest)
            return None
        session.used_at_seconds = self._monotonic()
        self._by_digest.move_to_end(digest)
        self._digests_of_keys[session.key_id].move_to_end(digest)
        return key

    def remaining_seconds(self, session: ConsoleSession) -> float:
        """Return for how long a session lasts if it is not used again; zero or less once it has ended."""
        now_seconds = self._monotonic()
        return min(
            session.opened_at_seconds + LIFETIME_SECONDS - now_seconds,
            session.used_at_seconds + IDLE_SECONDS - now_seconds,
        )

    def close(self, digest: str) -> None:
        """End a session. Idempotent."""
        session = self._by_digest.pop(digest, None)
        if session is not None:
            of_key = self._digests_of_keys[session.key_id]
            del of_key[digest]
            if not of_key:
                del self._digests_of_keys[session.key_id]


def session_account(session_id: str) -> str | None:
    """Return the account at the beginning of a session id; None if the text has another form."""
    match = _ID.fullmatch(session_id)
    return None if match is None else match[1]


def _digest_of(session_id: str) -> str:
    return sha256(session_id.encode()).hexdigest()

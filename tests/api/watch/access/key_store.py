"""Bearer keys in memory, with clocks that a test moves."""

from collections.abc import Hashable, Iterable

from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import BearerKey, digest_of, id_of, new_key_text
from stagebook.api.watch.access.bearer_keys import REFRESH_SECONDS, BearerKeys
from stagebook.server.system_clock import SystemRandomness

ACCOUNT_ID = "123456789012"
REGION = "us-west-2"


class KeyStore:
    """What is the file of keys in the server. It counts how often it is looked at and read."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.seconds = 0.0
        self.keys: list[BearerKey] = []
        self.stamps = 0
        self.reads = 0
        self.is_damaged = False
        self._version = 0

    def create(self, role: Role = Role.READER, *, name: str = "", expires_ms: int | None = None) -> str:
        """Add a key and return its text."""
        text = new_key_text(SystemRandomness())
        key = BearerKey(
            key_id=id_of(text) or "",
            digest=digest_of(text),
            role=role,
            account_id=ACCOUNT_ID,
            created_ms=self.now_ms,
            expires_ms=expires_ms,
            name=name,
        )
        self.keys.append(key)
        self._version += 1
        return text

    def revoke(self, text: str) -> None:
        """Remove the key with this text."""
        self.keys = [key for key in self.keys if key.key_id != id_of(text)]
        self._version += 1

    def damage(self) -> None:
        """Let reading fail."""
        self.is_damaged = True
        self._version += 1

    def pass_refresh(self) -> None:
        """Let the time pass after which a server notices a change."""
        self.seconds += REFRESH_SECONDS

    def bearer_keys(self) -> BearerKeys:
        """Return the keys as a server holds them."""
        return BearerKeys(
            stamp=self._stamp, read=self._read, now_ms=lambda: self.now_ms, monotonic=lambda: self.seconds
        )

    def _stamp(self) -> Hashable:
        self.stamps += 1
        return self._version

    def _read(self) -> Iterable[BearerKey]:
        self.reads += 1
        if self.is_damaged:
            raise OSError("damaged")
        return self.keys

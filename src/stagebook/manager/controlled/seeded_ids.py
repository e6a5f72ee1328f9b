"""The randomness of ids in a testing server, which can follow from a seed.

Two servers in which the same seed is set make the same ids, as long as they are asked for the same things in the same
order. In one server, the same seed makes the same ids again: of stages and other resources, which are unique within an
account, and of participants and sessions, which are unique within a stage. An id that exists already is passed over.

The ids of connections must be unique within the server. They follow from the seed and from how often it was set.

The ids and the stream keys can be guessed with the seed: they are for tests. No secret of the server
itself comes from here.
"""

import hashlib
from collections import Counter

from stagebook.stage.clock import Randomness


class SeededRandomness:
    """Implements `Randomness`: that of `source`, until it is given a key."""

    def __init__(self, source: Randomness) -> None:
        self._source = source
        self._key: bytes | None = None
        self._calls = 0

    def set_key(self, key: str | None) -> None:
        """Let all bytes follow from `key` from now on; from the source again with None."""
        self._key = None if key is None else key.encode("utf-8")
        self._calls = 0

    def token_bytes(self, size_bytes: int) -> bytes:
        """Return `size_bytes` bytes: of the SHAKE256 stream of the key and the number of this call."""
        if self._key is None:
            return self._source.token_bytes(size_bytes)
        self._calls += 1
        return hashlib.shake_256(b"%d %s" % (self._calls, self._key)).digest(size_bytes)


class SeededIds:
    """The randomness of all ids, random until a seed is set."""

    def __init__(self, source: Randomness) -> None:
        self.seed: int | None = None
        self.of_resources = SeededRandomness(source)
        self.of_connections = SeededRandomness(source)
        self._times_set: Counter[int] = Counter()

    def set_seed(self, seed: int | None) -> None:
        """Let ids follow from `seed` from now on; random again with None."""
        self.seed = seed
        if seed is None:
            self.of_resources.set_key(None)
            self.of_connections.set_key(None)
            return
        self._times_set[seed] += 1
        self.of_resources.set_key(f"resources {seed}")
        self.of_connections.set_key(f"connections {seed} {self._times_set[seed]}")

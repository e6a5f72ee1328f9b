"""Where a recording or a composition puts its objects."""

from typing import Protocol


class ObjectWriter(Protocol):
    """Objects below the prefix of one recording."""

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Hand over an object. A later put of the same name replaces it; objects are stored in the order of the calls.

        `name` is the key without the prefix and the slash behind it. Never blocks on a store.
        """

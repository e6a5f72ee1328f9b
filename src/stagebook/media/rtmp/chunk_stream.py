"""The state of one chunk stream that is received (section 5.3).

A chunk header leaves out what has not changed since the previous message of its chunk stream, so each chunk stream has
the fields of its latest message, and the part of its payload that has arrived. Slots and plain attributes, without
methods that change them: `chunk_reader` reads and writes the fields once per chunk, which is the hot path of ingest.
"""


class ChunkStream:
    """The header fields of a chunk stream's latest message, and the payload that has been received of it."""

    __slots__ = (
        "continuation",
        "delta",
        "extended",
        "is_open",
        "is_skipped",
        "length",
        "payload",
        "skipped_bytes",
        "stream_id",
        "timestamp",
        "type_id",
    )

    def __init__(self) -> None:
        self.timestamp = self.delta = self.length = self.type_id = self.stream_id = 0
        self.extended = b""
        """The extended timestamp of the latest header of type 0, 1 or 2; empty if it had none."""
        self.continuation = b""
        """The header of a type 3 chunk that continues the message, including the extended timestamp."""
        self.is_open = False
        """Whether the latest message is incomplete."""
        self.payload = bytearray()
        self.is_skipped = False
        """Whether the payload of the latest message is dropped."""
        self.skipped_bytes = 0
        """How many of its bytes have been dropped."""

    @property
    def missing_bytes(self) -> int:
        """How many bytes the latest message still lacks."""
        return self.length - len(self.payload) - self.skipped_bytes

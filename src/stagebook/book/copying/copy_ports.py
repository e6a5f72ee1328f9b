"""The ports of a copy: a store whose rows are read, and a store that gets them.

Rows come in the order of the primary key, texts by their UTF-8 bytes, in chunks of at most CHUNK_ROWS rows: this and
what the store caches is the memory of a copy. A row is a tuple of the columns of its table (`copied_tables.py`), with
integers, strings and None.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec

from stagebook.book.copying.copied_tables import CopiedTable
from stagebook.book.tables.rows import Row

CHUNK_ROWS: Final = 2_000


class KeyCounters(msgspec.Struct, frozen=True, kw_only=True):
    """The largest sequence number, and the largest keys, that a book has ever given out.

    Keys are positions in pages and sequence numbers are those of events, so a book must not give one out again, also
    if its row was deleted.
    """

    last_sequence: int
    stage_key: int
    session_key: int
    resource_key: int
    replica_key: int
    composition_key: int


class ReadableRows(Protocol):
    """Tables at one moment. Methods raise BookFailedError."""

    place: str
    """Where the tables are, for messages. It has no secrets."""

    def count(self, table: CopiedTable) -> int:
        """Return the number of rows of a table."""

    def chunks(self, table: CopiedTable) -> Iterator[list[Row]]:
        """Yield all rows of a table, in the order of its key. Only one table can be read at a time."""


class ReadableStore(ReadableRows, Protocol):
    """A book at one moment."""

    def key_counters(self) -> KeyCounters:
        """Return the largest numbers that the book has given out, which it must not give out again."""


class SharedRows(ReadableRows, Protocol):
    """The tables of webhooks and bearer keys (SHARED_TABLES) at one moment."""

    def shared_counters(self) -> Mapping[str, int]:
        """Return the largest key that each table of COUNTED_SHARED has ever given out."""


class SharedTarget(SharedRows, Protocol):
    """New tables of webhooks and bearer keys."""

    def insert(self, table: CopiedTable, rows: Sequence[Row]) -> None:
        """Add rows of a table."""

    def end_table(self, table: CopiedTable) -> None:
        """Finish a table whose rows were all added."""

    def set_shared_counters(self, counters: Mapping[str, int]) -> None:
        """Make the next keys larger than these. Call it after all rows were added."""

    def complete_shared(self) -> None:
        """Make the tables durable. A server uses them once the copy of the book is complete."""


class SourceStore(ReadableStore, AbstractContextManager["SourceStore"], Protocol):
    """A book that is read. Leaving the context closes it."""


class TargetStore(ReadableStore, AbstractContextManager["TargetStore"], Protocol):
    """A new book. Leaving the context without `complete` leaves nothing that a server could open."""

    def insert(self, table: CopiedTable, rows: Sequence[Row]) -> None:
        """Add rows of a table."""

    def end_table(self, table: CopiedTable) -> None:
        """Finish a table whose rows were all added."""

    def set_key_counters(self, counters: KeyCounters) -> None:
        """Make the next keys and sequence numbers larger than these. Call it after all rows were added."""

    def complete(self) -> None:
        """Make the copy durable. From then on a server can open it as a book."""

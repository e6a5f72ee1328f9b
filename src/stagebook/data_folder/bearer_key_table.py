"""The bearer keys of the watch API beside a book in PostgreSQL: table `bearer_key`, which all nodes share.

The command line changes it, and the nodes read it. `bearer_key_version` has one row: a change updates it, so that
changes wait for each other, and a node that has read this version has read all keys.
"""

from collections.abc import Hashable
from typing import Final, Self

import msgspec

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_connection
from stagebook.data_folder.bearer_key_file import MAXIMUM_KEYS
from stagebook.data_folder.folder_permissions import DataFolderError

_CHANGE: Final = "UPDATE bearer_key_version SET version = version + 1"
_ADD: Final = "INSERT INTO bearer_key (key_id, document, created_ms) VALUES (%s, %s, %s)"


class BearerKeyTable:
    """One connection to the table. Only one thread may use it at a time. Methods raise BookFailedError."""

    def __init__(self, url: str) -> None:
        """Connect. Raises BookRefusedError and BookUnreachableError."""
        self._connection: PostgresConnection = open_connection(url, patience_seconds=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._connection.close()

    def stamp(self) -> Hashable:
        """Return a value that differs after each change."""
        ((version,),) = self._connection.execute("SELECT version FROM bearer_key_version")
        return int(version)

    def read(self) -> tuple[BearerKey, ...]:
        """Return all keys, also those that have expired, oldest first."""
        rows = self._connection.execute("SELECT document FROM bearer_key ORDER BY created_ms, key_id")
        try:
            return tuple(msgspec.json.decode(str(row[0]), type=BearerKey) for row in rows)
        except msgspec.MsgspecError as error:
            raise self._connection.damaged(error) from error

    def add(self, key: BearerKey) -> None:
        """Add a key. Raises DataFolderError if there are MAXIMUM_KEYS already."""
        with self._connection.transaction():
            self._connection.execute(_CHANGE)
            ((count,),) = self._connection.execute("SELECT count(*) FROM bearer_key")
            if count >= MAXIMUM_KEYS:
                raise DataFolderError(f"there are {MAXIMUM_KEYS} keys already: revoke some, expired ones count as well")
            self._connection.execute(_ADD, (key.key_id, msgspec.json.encode(key).decode(), key.created_ms))

    def remove(self, key_id: str) -> bool:
        """Remove the key of an id; return whether there was one."""
        with self._connection.transaction():
            self._connection.execute(_CHANGE)
            return bool(self._connection.execute("DELETE FROM bearer_key WHERE key_id = %s RETURNING 1", (key_id,)))

"""The secrets that all nodes of a book have, in table `shared_secret`."""

from typing import Final

from stagebook.book.postgres.postgres_connection import PostgresConnection

_FIND: Final = "SELECT value FROM shared_secret WHERE name = %s"
_SHARE: Final = "INSERT INTO shared_secret (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"


class SharedSecrets:
    """The secrets of a book by name; implements `SecretStore` of `data_folder/secret_exchange.py`."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    def find(self, name: str) -> bytes | None:
        """Return a secret, None if there is none."""
        rows = self._connection.execute(_FIND, (name,))
        return bytes(rows[0][0]) if rows else None

    def share(self, name: str, value: bytes) -> bytes:
        """Store a secret unless there is one of this name; return the stored one, which another node may have made."""
        self._connection.execute(_SHARE, (name, value))
        ((stored,),) = self._connection.execute(_FIND, (name,))
        return bytes(stored)

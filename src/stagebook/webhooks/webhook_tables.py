"""The port of the tables of webhooks (`webhook_file`): in a file of the data folder, or beside a book in a database.

Statements have SQLite's form, with parameters `:name` or `?`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class WebhookStorageError(Exception):
    """The tables of webhooks cannot be used. The message names the place and says why."""


class WebhooksBusyError(WebhookStorageError):
    """Another process has written for too long, or the database does not answer. A later attempt may succeed."""


class WebhookTables(Protocol):
    """One connection. Only one thread may use it at a time. Methods raise WebhookStorageError."""

    @property
    def place(self) -> str:
        """The file or the database, for messages."""

    def rows(self, statement: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement; return its rows."""

    def many(self, statement: str, parameters: Sequence[Mapping[str, Any] | Sequence[Any]]) -> None:
        """Execute a statement that returns no rows, once with each of the parameters."""

    def transaction(self) -> AbstractContextManager[None]:
        """A writing transaction: committed at the end of the block, rolled back if it raises."""

    def version(self) -> object:
        """Return a value that differs after another connection has changed what an operator can change."""

    def owned_accounts(self) -> Collection[str] | None:
        """Return the accounts whose events this process delivers, None for all accounts."""

    def may_write(self) -> bool:
        """Return whether this process may store what it has delivered; asked within the transaction."""

    def close(self) -> None:
        """Close the connection. Idempotent."""

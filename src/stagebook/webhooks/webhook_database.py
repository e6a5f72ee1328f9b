"""The tables of webhooks beside a book in PostgreSQL, which all nodes share.

The delivery process of each node delivers the events of the accounts that its node's run owns; the table of leases says
which they are. A run that is over, or whose lease has passed, owns none: its process ends its deliveries when it looks
the next time, and stores nothing. What another node then repeats are deliveries that were not stored.

Row `webhook_version` keeps writers in order: an operator updates it, which tells the delivery processes that something
has changed, and a delivery process locks it with other ones, so that no operator changes what it is storing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.postgres.leases.node_run import LEASE_SECONDS
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_readers import open_connection
from stagebook.book.postgres.postgres_session import BookUnreachableError, LockTimeoutError
from stagebook.book.postgres.statement_translation import translated
from stagebook.webhooks.webhook_tables import WebhooksBusyError, WebhookStorageError

_CHANGE: Final = "UPDATE webhook_version SET version = version + 1"
_HOLD: Final = "SELECT version FROM webhook_version FOR SHARE"
_OWNED: Final = """
SELECT account_id FROM account_lease JOIN node_run USING (run_id)
WHERE run_id = %s AND fenced_at IS NULL AND ended_at IS NULL
    AND heartbeat_at > clock_timestamp() - %s::double precision * interval '1 second'
"""
_IS_RUNNING: Final = "SELECT 1 FROM node_run WHERE run_id = %s AND fenced_at IS NULL AND ended_at IS NULL"


class WebhookDatabase:
    """Implements `WebhookTables`. `run_id` is the run of the node that delivers, None for an operator."""

    def __init__(self, url: str, *, run_id: int | None) -> None:
        """Connect. Raises WebhookStorageError."""
        self._run_id = run_id
        try:
            self._connection: PostgresConnection = open_connection(url, patience_seconds=0)
        except BookUnreachableError as error:
            raise WebhooksBusyError(str(error)) from error
        except (BookRefusedError, BookFailedError) as error:
            raise WebhookStorageError(str(error)) from error

    @property
    def place(self) -> str:
        """See `WebhookTables`."""
        return self._connection.place

    def rows(self, statement: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `WebhookTables`."""
        with _failures():
            return self._connection.execute(translated(statement), parameters)

    def many(self, statement: str, parameters: Sequence[Mapping[str, Any] | Sequence[Any]]) -> None:
        """See `WebhookTables`."""
        if parameters:
            with _failures():
                self._connection.execute_many(translated(statement), parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `WebhookTables`."""
        with _failures(), self._connection.transaction():
            self._connection.execute(_CHANGE if self._run_id is None else _HOLD)
            yield

    def version(self) -> object:
        """See `WebhookTables`."""
        return self.rows("SELECT version FROM webhook_version")[0][0]

    def owned_accounts(self) -> Collection[str]:
        """See `WebhookTables`."""
        with _failures():
            return {row[0] for row in self._connection.execute(_OWNED, (self._run_id, LEASE_SECONDS))}

    def may_write(self) -> bool:
        """See `WebhookTables`."""
        with _failures():
            return bool(self._connection.execute(_IS_RUNNING, (self._run_id,)))

    def close(self) -> None:
        """See `WebhookTables`."""
        self._connection.close()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (BookUnreachableError, LockTimeoutError) as error:
        raise WebhooksBusyError(str(error)) from error
    except BookFailedError as error:
        raise WebhookStorageError(str(error)) from error

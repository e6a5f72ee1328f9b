"""Where the tables of webhooks are, and how they are opened."""

from pathlib import Path
from typing import TypeAlias

from stagebook.book.book_source import BookSource, DatabaseSource
from stagebook.webhooks.webhook_file import WebhookFile
from stagebook.webhooks.webhook_tables import WebhookTables

WebhookPlace: TypeAlias = Path | DatabaseSource
"""The path of the file of webhooks, or the database of the book."""


def webhook_place(source: BookSource, *, file_path: Path) -> WebhookPlace:
    """Return where the webhooks of a book are: in its database, which all nodes share, or in the file."""
    return source if isinstance(source, DatabaseSource) else file_path


def open_for_operators(place: WebhookPlace) -> WebhookTables:
    """Open the tables for changes by operators. Raises WebhookStorageError."""
    return WebhookFile(place) if isinstance(place, Path) else _open_database(place, run_id=None)


def open_for_delivery(place: WebhookPlace, *, run_id: int | None) -> WebhookTables:
    """Open the tables for the delivery process. `run_id` is the run of its node, for a database.

    Raises WebhookStorageError.
    """
    return WebhookFile(place, is_synced=False) if isinstance(place, Path) else _open_database(place, run_id=run_id)


def _open_database(source: DatabaseSource, *, run_id: int | None) -> WebhookTables:
    # psycopg is an extra: servers with a SQLite book may not have it.
    from stagebook.webhooks.webhook_database import WebhookDatabase

    return WebhookDatabase(source.url, run_id=run_id)

"""What the nodes of a book in PostgreSQL share, for commands: its database, and its secrets."""

import msgspec

from stagebook.book.book_source import DatabaseSource
from stagebook.cli.events.event_flags import require_psycopg
from stagebook.cli.exit_codes import CommandFailedError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import AccessKey, DataFolder

_NO_SECRETS = "the database has no book yet: start a server on it"


def shared_database(settings: Settings) -> DatabaseSource | None:
    """Return the database that the nodes of the settings share; None for a book in a data folder."""
    if settings.book != "postgres" or settings.database_url is None:
        return None
    require_psycopg()
    return DatabaseSource(url=settings.database_url)


def shared_secrets(source: DatabaseSource, folder: DataFolder) -> tuple[str, bytes]:
    """Return the account of the access key, and the secret of webhooks, that all nodes have.

    Raises CommandFailedError if no server has been started on the database, BookRefusedError and BookFailedError.
    """
    from stagebook.book.postgres.postgres_readers import open_connection
    from stagebook.book.postgres.shared_secrets import SharedSecrets

    connection = open_connection(source.url, patience_seconds=0)
    try:
        store = SharedSecrets(connection)
        access_key = store.find(folder.access_key_path.name)
        webhook_secret = store.find(folder.webhook_secret_path.name)
    finally:
        connection.close()
    if access_key is None or webhook_secret is None:
        raise CommandFailedError(_NO_SECRETS)
    try:
        return msgspec.json.decode(access_key, type=AccessKey).account_id, webhook_secret
    except msgspec.MsgspecError as error:
        raise CommandFailedError(f"the access key in the database is damaged: {error}") from error

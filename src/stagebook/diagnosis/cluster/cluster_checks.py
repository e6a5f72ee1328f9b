"""The checks of a node in their order: the database, then what needs it."""

from collections.abc import Iterator

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.cluster.database_checks import judge_database, judge_unusable, read_database_facts
from stagebook.diagnosis.cluster.node_checks import judge_nodes, read_node_facts
from stagebook.diagnosis.cluster.secret_checks import judge_secrets, read_secret_facts
from stagebook.diagnosis.finding import Finding


def check_cluster(settings: Settings, folder: DataFolder, url: str, *, is_running: bool) -> Iterator[Finding]:
    """Yield the findings about the database at `url` and the nodes on it. `is_running`: a server of the folder runs."""
    try:
        connection = PostgresConnection(url)
    except (BookRefusedError, BookFailedError) as error:
        yield judge_unusable("connection", str(error))
        return
    try:
        facts = read_database_facts(connection)
        yield from judge_database(facts)
        if facts.book is not None:
            yield judge_secrets(read_secret_facts(folder, connection))
            yield from judge_nodes(settings, read_node_facts(settings, connection), is_running=is_running)
    except BookFailedError as error:
        yield judge_unusable("connection", str(error))
    finally:
        connection.close()

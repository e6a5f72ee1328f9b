"""The configuration of the whole test suite."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.postgres_server import database, shared_server

ROOT = Path(__file__).parent

# No deadlines and no health check of slow examples, because the machine may be slow. On CI the examples are the same in
# every run, so that a failure is reproducible; elsewhere each run generates new ones.
settings.register_profile(
    "stagebook",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("stagebook")

# By default, structlog formats each logged error with rich, which takes longer than most tests that cause one.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

WAITING_FOLDERS = {"chaos", "e2e", "server", "testing", "webhooks"}
"""Their tests start processes. Many wait for what they have started, and the longest files are among them."""
WAITING_SHARE = 0.9
"""The last file of these folders starts after this share of the other files, so that short files are the last ones."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files of WAITING_FOLDERS among the others, if several processes run the tests.

    So at any time some of them wait while others compute, and no long file is the last.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    positions: dict[Path, float] = {}
    for waits, share in ((True, WAITING_SHARE), (False, 1.0)):
        paths = [path for path in files if (path.relative_to(ROOT).parts[0] in WAITING_FOLDERS) is waits]
        positions |= {path: share * number / len(paths) for number, path in enumerate(paths)}
    items[:] = [item for path in sorted(files, key=positions.__getitem__) for item in files[path]]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage look only at what tests make: the modules and the tests stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def no_terminal_width() -> None:
    """The width of a terminal would cut the tables of commands. Parallel runs set it for their workers."""
    os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def postgres_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of database `postgres` on the PostgreSQL server that all tests of this run share. It has no fsync."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # The folder of the run.
    with shared_server(folder / "postgres") as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """The URL of an empty database, which only one test uses."""
    with database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_book_template(postgres_server_url: str) -> Iterator[str]:
    """The name of a database with an empty book, which databases are copied from."""
    from stagebook.book.postgres.postgres_connection import PostgresConnection
    from stagebook.book.postgres.postgres_schema import migrate

    with database(postgres_server_url) as url:
        connection = PostgresConnection(url)
        migrate(connection)
        connection.close()
        yield url.rpartition("/")[2]


@pytest.fixture
def postgres_book_url(postgres_server_url: str, postgres_book_template: str) -> Iterator[str]:
    """The URL of a database with an empty book, which only one test uses."""
    with database(postgres_server_url, template=postgres_book_template) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres_server_url: str) -> Iterator[str]:
    """The URL of a database with the tables of a book, which the tests of this process use in turns."""
    from tests.book.postgres_books import shared_database

    with shared_database(postgres_server_url) as url:
        yield url

"""The PostgreSQL servers of the tests: what they share, what they survive, what they leave behind."""

import subprocess
import sys
import time
from pathlib import Path

import psycopg

from tests.postgres_server import running_server, shared_server


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_database_is_empty_and_can_be_written(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute('CREATE TABLE stage (name text COLLATE "default")')
        (tables,) = connection.execute("SELECT count(*) FROM pg_stat_user_tables").fetchone() or (None,)
    assert tables == 1


def test_the_server_ends_with_its_last_user_even_if_that_is_killed(tmp_path: Path) -> None:
    with shared_server(tmp_path / "shared") as url:
        code = (
            "import sys, pathlib; from tests.postgres_server import shared_server\n"
            "with shared_server(pathlib.Path(sys.argv[1])) as url: print(url, flush=True); sys.stdin.read()"
        )
        other = subprocess.Popen(
            (sys.executable, "-c", code, str(tmp_path / "shared")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline().strip() == url
    assert _answers(url), "the other process uses it"
    with other:
        other.kill()
    deadline = time.monotonic() + 30
    while _answers(url):
        assert time.monotonic() < deadline, "the server runs on without a user"
        time.sleep(0.02)


def test_a_killed_server_starts_again_with_what_was_committed() -> None:
    with running_server() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (number integer)")
            connection.execute("INSERT INTO kept VALUES (1)")
            server.kill()
            assert not _answers(server.url())
            server.start()
        with psycopg.connect(server.socket_url()) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(1,)]
        folder = server.folder
        assert folder.exists()
    assert not folder.exists()

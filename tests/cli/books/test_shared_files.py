"""Webhooks and bearer keys are copied with a book, to a database and back, and compared row by row."""

from pathlib import Path

import apsw
import psycopg
import pytest

from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.cli.command_line import main
from stagebook.data_folder.bearer_key_file import BearerKeyFile
from stagebook.data_folder.secret_files import SecretFiles
from stagebook.data_folder.secrets import DataFolder
from stagebook.webhooks.webhook_file import open_webhook_file
from tests.book.copying.full_book import write_full_book
from tests.book.sample import ACCOUNT, SECRET

ROWS = """
INSERT INTO destination VALUES ('d1', '123456789012', '{"a": 1}', 5);
INSERT INTO run VALUES (7, 'd1', 0, 123456789012, NULL, NULL, 9), (9, 'd1', 1, 3, 99, 'st-1', 9);
DELETE FROM run WHERE run_key = 9;
INSERT INTO lagging_session VALUES (7, 'st-1', 5);
INSERT INTO delivery VALUES (4, 'd1', 7, 11, 'e', 'JOINED', 'st-1', 'live', 'failed', 2, 500, 'x', 1, 2, 3);
INSERT INTO dead_letter VALUES ('d1', 12, 'f', 'LEFT', 'st-1', 3, NULL, 'gone', 8);
INSERT INTO test_request VALUES (2, 'd1', 'g', 6);
INSERT INTO backlog VALUES ('d1', 1, 1, 11, 0, 5, 2, 1);
"""
SHARED_ROWS = 9
"""Rows of all tables, with the two bearer keys."""


def bearer_key(key_id: str, created_ms: int) -> BearerKey:
    return BearerKey(key_id=key_id, digest="0" * 64, role=Role.READER, account_id=ACCOUNT, created_ms=created_ms)


KEYS = (bearer_key("aaaaaaaaaa", 1), bearer_key("bbbbbbbbbb", 2))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A data folder with a book, webhooks and bearer keys."""
    folder = DataFolder(tmp_path / "source")
    folder.prepare()
    SecretFiles(folder.path).write_secrets({"stream-key-secret": SECRET})
    write_full_book(folder.book_path)
    webhooks = open_webhook_file(folder.webhook_path)
    webhooks.execute(ROWS).fetchall()
    webhooks.close()
    for key in KEYS:
        BearerKeyFile(folder.path).add(key)
    return folder.path


def run(action: str, source: Path | str, target: Path | str) -> int:
    return main(["book", action, "--from", str(source), "--to", str(target)])


def rows_of(folder: Path, table: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(folder / "webhooks.sqlite3"))
    rows: list[tuple[object, ...]] = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a constant
    connection.close()
    return rows


def test_they_go_to_postgresql_and_back(
    source: Path, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = tmp_path / "back"
    assert run("copy", source, postgres_url) == 0
    assert run("copy", postgres_url, back) == 0
    assert run("compare", source, back) == 0
    assert f"copied {39 + SHARED_ROWS} rows of" in capsys.readouterr().out
    assert BearerKeyFile(back).read() == KEYS
    for table in ("destination", "run", "lagging_session", "delivery", "dead_letter", "test_request", "backlog"):
        assert rows_of(back, table) == rows_of(source, table)
    # The key of a run that was removed is not given out again.
    assert ("run", 9) in rows_of(back, "sqlite_sequence")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO run (destination_id, kind, position, since_ms) VALUES ('d1', 0, 0, 0)")
        assert connection.execute("SELECT max(run_key) FROM run").fetchall() == [(10,)]
    assert not list(back.glob("*.copying*"))
    assert {path.stat().st_mode & 0o777 for path in back.iterdir()} == {0o600}


def test_a_difference_is_named(source: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("copy", source, postgres_url) == 0
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE run SET position = 1")
        connection.execute("DELETE FROM bearer_key WHERE key_id = 'bbbbbbbbbb'")
    capsys.readouterr()
    assert run("compare", source, postgres_url) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "run run_key=7 differs in position",
        "bearer_key key_id=bbbbbbbbbb is missing in the target",
    ]


def test_those_of_a_target_are_not_replaced(
    source: Path, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = DataFolder(tmp_path / "other")
    other.prepare()
    BearerKeyFile(other.path).add(KEYS[0])
    assert run("copy", source, other.path) == 1
    assert "has rows of bearer_key: a copy replaces no webhooks and no bearer keys" in capsys.readouterr().err
    assert not other.book_path.exists()
    assert run("copy", source, postgres_url) == 0
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DELETE FROM bearer_key")
    assert run("copy", source, postgres_url) == 1
    assert BearerKeyFile(other.path).read() == KEYS[:1]

"""`stagebook book copy` and `compare`: secrets, exit codes, what they print, and copies that are ended."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import psycopg
import pytest

from stagebook.cli.command_line import main
from stagebook.data_folder.secret_files import SecretFiles
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder
from stagebook.server.system_clock import SystemRandomness
from tests.book.copying.full_book import write_full_book
from tests.book.sample import ACCOUNT, SECRET
from tests.serving import COMMAND, DEADLINE_SECONDS, clean_environment


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A data folder with a book and all secrets."""
    folder = DataFolder(tmp_path / "source")
    folder.prepare()
    SecretFiles(folder.path).write_secrets({"stream-key-secret": SECRET})
    randomness = SystemRandomness()
    folder.access_key(account_id=ACCOUNT, randomness=randomness)
    folder.page_token_secret(randomness=randomness)
    folder.token_signing_key()
    write_full_book(folder.book_path)
    return folder.path


def run(action: str, source: Path | str, target: Path | str, *flags: str) -> int:
    return main(["book", action, "--from", str(source), "--to", str(target), *flags])


def change(folder: Path, statement: str) -> None:
    connection = apsw.Connection(str(folder / "book.sqlite3"))
    connection.execute(statement).fetchall()
    connection.close()


def halted(step: str, source: Path | str, target: Path | str) -> "subprocess.Popen[str]":
    """Start a copy that waits in the middle of a step; return when it waits."""
    arguments = ("-m", "tests.cli.books.halted_copy", step, "--from", str(source), "--to", str(target))
    process = subprocess.Popen((sys.executable, *arguments), stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert process.stdout is not None
    assert process.stdout.readline() == "halted\n"
    return process


def test_a_data_folder_goes_to_postgresql_and_back_with_its_secrets(
    source: Path, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = tmp_path / "back"
    assert run("copy", source, postgres_url) == 0
    assert run("copy", f"postgres:{postgres_url}", f"sqlite:{back}") == 0
    assert run("compare", source, back) == 0

    output = capsys.readouterr()
    database = f"PostgreSQL database {postgres_url.rpartition('/')[2]} at 127.0.0.1:"
    lines = output.out.splitlines()
    assert lines[0].startswith(f"copied 39 rows of {source}/book.sqlite3: {database}")
    assert lines[2] == f"compared 39 rows of {source}/book.sqlite3: {back}/book.sqlite3 has the same"
    assert "copied 12 rows of event" in output.err.splitlines()
    assert SecretFiles(back).read_secrets() == SecretFiles(source).read_secrets()
    assert len(SecretFiles(back).read_secrets()) == 4
    assert {path.stat().st_mode & 0o777 for path in back.iterdir()} == {0o600}


def test_a_target_without_a_secret_of_the_stream_keys_is_never_made(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = source / "stream-key-secret"
    path.unlink()
    assert run("copy", source, tmp_path / "back") == 1
    path.write_bytes(bytes(64))
    path.chmod(0o600)
    assert run("copy", source, tmp_path / "back") == 1
    missing, wrong = capsys.readouterr().err.splitlines()
    assert "has sealed stream keys, but their secret (stream-key-secret) is missing: restore it" in missing
    assert "does not open the stream keys of arn:aws:ivs:us-west-2:123456789012:ingest-configuration/a" in wrong
    assert not (tmp_path / "back").exists()


def test_a_secret_of_the_target_is_not_replaced(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = DataFolder(tmp_path / "other")
    other.prepare()
    other.page_token_secret(randomness=SystemRandomness())
    assert run("copy", source, other.path) == 1
    assert "has another page-token-secret than the source, and a copy replaces no secret" in capsys.readouterr().err
    assert not other.book_path.exists()


def test_differences_are_named_and_counted(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    back = tmp_path / "back"
    assert run("copy", source, back) == 0
    change(back, "UPDATE revocation SET reason = 'other'; DELETE FROM expired_session; UPDATE session SET end_ms = 9")
    capsys.readouterr()
    assert run("compare", source, back) == 1
    assert capsys.readouterr().out.splitlines() == [
        "session session_key=1 differs in end_ms",
        "session session_key=2 differs in end_ms",
        "revocation stage_key=1 participant_id=p differs in reason",
        "expired_session session_key=77 is missing in the target",
        f"the books differ: 4 differences in 39 rows of {source}/book.sqlite3",
    ]


def test_only_the_first_differences_are_printed(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = tmp_path / "back"
    assert run("copy", source, back) == 0
    numbers = "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 399) SELECT i FROM n"
    change(back, f"INSERT INTO expired_session {numbers}")
    capsys.readouterr()
    assert run("compare", source, back) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-2]) == (102, "and 200 more")


def test_the_json_is_one_document(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    back = tmp_path / "back"
    assert run("copy", source, back, "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["differenceCount"], document["differences"]) == (39, 0, [])
    assert (document["tables"]["event"], sum(document["tables"].values())) == (12, 39)
    change(back, "DELETE FROM revocation")
    assert run("compare", source, back, "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["differences"] == [
        {"table": "revocation", "key": [1, "p"], "kind": "missing", "columns": []}
    ]


def test_a_copy_that_was_killed_leaves_nothing_in_the_way(source: Path, postgres_url: str, tmp_path: Path) -> None:
    for target in (tmp_path / "back", postgres_url):
        with halted("copied", source, target) as process:
            process.kill()
    assert not (tmp_path / "back" / "book.sqlite3").exists()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM stage").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM shared_secret").fetchall() == [(0,)]
    for target in (tmp_path / "back", postgres_url):
        assert run("copy", source, target) == 0


def test_ctrl_c_leaves_nothing(source: Path, postgres_url: str, tmp_path: Path) -> None:
    for target in (tmp_path / "back", postgres_url):
        with halted("compared", source, target) as process:
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_SECONDS) == 130
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["book.sqlite3.lock"]
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM stage").fetchall() == [(0,)]


def test_the_database_can_be_that_of_the_settings(source: Path, postgres_url: str, tmp_path: Path) -> None:
    config = tmp_path / "stagebook.toml"
    config.write_text(f'book = "postgres"\ndatabase_url = "{postgres_url}"\n', encoding="utf-8")
    assert run("copy", source, "postgres:", "--config", str(config)) == 0
    assert run("compare", source, postgres_url) == 0


def test_a_book_is_not_copied_to_itself(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("copy", source, source) == 1
    assert "--from and --to are the same place" in capsys.readouterr().err


def test_without_such_settings_it_says_what_is_missing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("copy", source, "postgres:") == 1
    assert capsys.readouterr().err == (
        'stagebook: `postgres:` alone needs book = "postgres" and database_url in the settings\n'
    )


def test_a_book_for_tests_stays_one(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = source / "book.sqlite3"
    book = path.read_bytes()
    path.unlink()
    claim_folder(DataFolder(source), is_testing=True)
    path.write_bytes(book)
    assert run("copy", source, "postgresql://localhost/nowhere") == 1
    assert "tests may have moved the times of this book" in capsys.readouterr().err
    assert run("copy", source, tmp_path / "back") == 0
    assert DataFolder(tmp_path / "back").testing_mark_path.exists()


def test_a_terminal_shows_the_progress(source: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = (*COMMAND, "book", "copy", "--from", str(source), "--to", str(tmp_path / "back"))
    environment = {**clean_environment(), "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True, env=environment, text=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout.startswith("copied 39 rows of ")
    assert " rows" in shown
    assert "rows of event" not in shown

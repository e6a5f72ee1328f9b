"""The commands that read a book print the same from a PostgreSQL database as from a data folder."""

from pathlib import Path

import pytest

from stagebook.cli.command_line import main
from tests.cli.written_book import write_composition

SESSION = "st-a1b2c3d4e5f6g"


COMMANDS = (
    "events list --output json",
    "events list --order asc --limit 3 --output json",
    "events list --user ann --output json",
    "events list --name LEFT --name COMPOSITION_FAILED --output json",
    "events list --cause PEER_LOST --output json",
    f"events list --session {SESSION} --participant p-bob --output json",
    f"events timeline --session {SESSION}",
    "events export --output -",
    "events export --output - --format csv --user ann",
    "sessions list --output json",
    "sessions list --user bob --output json",
    f"sessions show {SESSION} --output json",
    "compositions list --output json",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_composition(tmp_path / "data").parent


@pytest.fixture
def config(folder: Path, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A settings file of a database with a copy of the book of `folder`."""
    path = tmp_path / "stagebook.toml"
    path.write_text(f'book = "postgres"\ndatabase_url = "{postgres_url}"\n', encoding="utf-8")
    assert main(["book", "copy", "--from", str(folder), "--to", postgres_url]) == 0
    capsys.readouterr()
    return path


def outputs(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, str]:
    """Return what each command prints with these flags."""
    printed = {}
    for command in COMMANDS:
        assert main([*command.split(), *flags]) == 0, command
        printed[command] = capsys.readouterr().out
    return printed


def test_commands_print_the_same(folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = outputs(capsys, "--data", str(folder))
    assert outputs(capsys, "--config", str(config)) == printed
    assert all(printed.values())


def test_an_import_says_the_way(folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "import", str(folder / "any.jsonl"), "--config", str(config)]) == 1
    assert "then move the book: `stagebook book copy --from NEW-FOLDER --to postgresql" in capsys.readouterr().err


def test_a_check_prints_the_same(folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--data", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert main(["check", "--config", str(config)]) == 1
    assert capsys.readouterr().out == printed
    assert "13 events of 3 participants in 2 sessions and 1 composition: broken rules: " in printed


def test_a_database_without_a_book_is_named(
    postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stagebook.toml"
    path.write_text(f'book = "postgres"\ndatabase_url = "{postgres_url}"\n', encoding="utf-8")
    assert main(["sessions", "list", "--config", str(path)]) == 1
    assert "has no book: start the server once to make one" in capsys.readouterr().err

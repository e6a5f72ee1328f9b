"""`stagebook check` prints each broken rule as text or as JSON, and fails then."""

import json
from pathlib import Path

import apsw
import pytest

from stagebook.cli.command_line import main
from tests.cli.written_book import write_book


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose book has an event with an error code that does not belong to it."""
    data = tmp_path_factory.mktemp("damaged") / "data"
    connection = apsw.Connection(str(write_book(data)))
    connection.execute("UPDATE event SET error_code = 1 WHERE name = 0").fetchall()
    connection.close()
    return data


def test_the_text_names_place_and_rule(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--data", str(damaged)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("participant p-ann event " in line and ": error-code: JOINED has error code" in line for line in lines)
    assert sum(line.startswith("    error-code: An event has an error code if and only if") for line in lines) == 1
    assert lines[-1].startswith("10 events of 3 participants in 2 sessions: broken rules: ")


def test_the_json_is_one_document(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--data", str(damaged), "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["sessions"], document["participants"], document["events"]) == (2, 3, 10)
    found = [each for each in document["brokenRules"] if each["rule"] == "error-code"]
    assert {each["participantId"] for each in found} == {"p-ann", "p-bob", "p-eve"}
    assert all(each["eventId"] and each["stageArn"] and each["sessionId"] and each["detail"] for each in found)


def test_a_sound_book_is_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.jsonl"
    path.write_bytes(b"")
    assert main(["events", "import", str(path), "--data", str(tmp_path / "data")]) == 0
    assert main(["check", "--data", str(tmp_path / "data"), "--format", "json"]) == 0
    counts = {"sessions": 0, "participants": 0, "events": 0, "compositions": 0}
    assert json.loads(capsys.readouterr().out) == {"brokenRules": [], **counts}

"""`stagebook sessions list` and `show`: tables, JSON Lines and the attendance sheet."""

import csv
import io
import json
from pathlib import Path

import pytest

from stagebook.cli.command_line import main
from stagebook.history.sessions.attendance import ATTENDANCE_COLUMNS
from tests.book.sample import ARN, OTHER_ARN, OTHER_SESSION, SESSION
from tests.cli.written_book import HOSTILE_USER, write_book


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "data"
    write_book(folder)
    return folder


def run(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["sessions", *arguments, "--data", str(data)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", [OTHER_SESSION, SESSION]),
        ("--limit 1", [OTHER_SESSION]),
        (f"--stage {ARN}", [SESSION]),
        ("--state open", [OTHER_SESSION]),
        ("--state ended", [SESSION]),
        ("--user bob", [SESSION]),
        ("--since 2023-11-14T23:00:00Z", [OTHER_SESSION]),
        ("--until 2023-11-14T23:00:00Z", [SESSION]),
        ("--since 1h", []),
    ],
)
def test_a_filter_selects_sessions(
    data: Path, capsys: pytest.CaptureFixture[str], flags: str, expected: list[str]
) -> None:
    lines = run(data, capsys, "list", "--output", "json", *flags.split()).splitlines()
    assert [json.loads(line)["sessionId"] for line in lines] == expected


def test_a_session_has_a_document(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = run(data, capsys, "list", "--output", "json", "--state", "ended")
    assert json.loads(line) == {
        "sessionId": SESSION,
        "stageArn": ARN,
        "stageName": "talk",
        "accountId": "123456789012",
        "state": "ENDED",
        "startTime": "2023-11-14T22:13:20.000Z",
        "endTime": "2023-11-14T22:13:30.000Z",
        "participants": 2,
    }


def test_a_table_lists_sessions(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = run(data, capsys, "list")
    for text in (SESSION, OTHER_SESSION, "talk", "0:00:10", "open"):
        assert text in table


def test_show_has_totals_and_participants(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(data, capsys, "show", SESSION)
    for line in (
        "participant minutes         0.217",
        "publisher minutes           0.133",
        "subscriber minutes          0.067",
        "most participants at once   2 at 2023-11-14T22:13:22.000Z",
        "BITRATE_EXCEEDED            1",
        "left: peer_lost             1",
    ):
        assert line in text
    assert text.count("p-ann") == 1
    assert "more" in run(data, capsys, "show", SESSION, "--limit", "1")
    assert "p-ann" not in run(data, capsys, "show", SESSION, "--user", "bob")


def test_show_as_json_has_the_totals_and_a_line_for_each_participant(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, ann, bob = map(json.loads, run(data, capsys, "show", SESSION, "--output", "json").splitlines())
    assert head["session"]["sessionId"] == SESSION
    totals = head["totals"]
    assert (totals["participantMs"], totals["publisherMs"], totals["subscriberMs"]) == (13_000, 8_000, 4_000)
    assert totals["eventCounts"]["JOINED"] == 2
    assert ann["published"] == [
        {"start": "2023-11-14T22:13:21.000Z", "end": "2023-11-14T22:13:29.000Z", "endCause": "peer_lost"}
    ]
    assert bob["watched"][0]["participantId"] == "p-ann"
    assert (bob["watchedMs"], bob["watchedMinutes"]) == (4_000, 0.067)
    assert [error["errorCode"] for error in bob["errors"]] == ["BITRATE_EXCEEDED"]


def test_an_attendance_sheet_has_no_formula(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run(data, capsys, "show", SESSION, "--output", "csv"))))
    assert tuple(rows[0]) == ATTENDANCE_COLUMNS
    assert [row["User"] for row in rows] == ["ann", "bob"]
    assert (rows[0]["First join (UTC)"], rows[0]["Minutes present"]) == ("2023-11-14 22:13:20", "0.15")
    (eve,) = csv.DictReader(io.StringIO(run(data, capsys, "show", OTHER_SESSION, "--output", "csv"), newline=""))
    assert eve["User"] == HOSTILE_USER
    assert (eve["Last leave (UTC)"], eve["Left because"]) == ("", "")


def test_an_unknown_session_is_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "show", "st-0", "--data", str(data)]) == 1
    assert "no session st-0" in capsys.readouterr().err
    assert run(data, capsys, "list", "--stage", OTHER_ARN + "0", "--output", "json") == ""

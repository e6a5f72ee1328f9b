"""`stagebook compositions list` and `show`: which compositions, in which form, and where their files are."""

import json
from pathlib import Path

import pytest

from stagebook.cli.command_line import main
from tests.book.sample import ARN, COMPOSITION_ARN
from tests.cli.written_book import COMPOSITION_EVENTS, write_composition

STORAGE = "arn:aws:ivs:us-west-2:123456789012:storage-configuration/FefABabCDcdE"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed") / "data"
    write_composition(folder)
    return folder


def output(data: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["compositions", *flags, "--data", str(data)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ("", 1),
        (f"--stage {ARN}", 1),
        (f"--stage {ARN}0", 0),
        ("--state ended", 1),
        ("--state open", 0),
        (f"--configuration {STORAGE}", 1),
        (f"--configuration {STORAGE}0", 0),
    ],
)
def test_a_flag_selects_compositions(data: Path, capsys: pytest.CaptureFixture[str], flags: str, count: int) -> None:
    lines = output(data, capsys, "list", "--output", "json", *flags.split()).splitlines()
    assert [json.loads(line)["arn"] for line in lines] == [COMPOSITION_ARN] * count


def test_a_table_has_the_states(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = output(data, capsys, "list").split()
    assert {"abcdABCDefgh", "STOPPED", "bucket", "STARTING"} <= set(shown)


def test_a_composition_is_shown_with_its_events(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *events = map(json.loads, output(data, capsys, "show", COMPOSITION_ARN, "--output", "json").splitlines())
    assert first["arn"] == COMPOSITION_ARN
    assert [event["name"] for event in events] == [
        "COMPOSITION_STARTED",
        "COMPOSITION_DESTINATION_FAILED",
        "COMPOSITION_FAILED",
    ]
    assert len(events) == COMPOSITION_EVENTS


def test_the_table_says_where_the_files_are(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = "".join(output(data, capsys, "show", COMPOSITION_ARN, "--limit", "2").split())
    assert "gridGap=2" in shown
    assert "GHFabcgefABC/composite/media/hls/multivariant.m3u8" in shown
    assert "COMPOSITION_DESTINATION_FAILED" in shown
    assert "COMPOSITION_FAILED" not in shown
    assert "Thefirst2events;--limitshowsmore." in shown


def test_an_unknown_composition_is_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compositions", "show", f"{COMPOSITION_ARN}0", "--data", str(data)]) == 1
    assert "there is no composition" in capsys.readouterr().err

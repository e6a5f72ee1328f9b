"""`stagebook events list`, `tail` and `timeline`: filters, forms of output, and how they end."""

import asyncio
import json
import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import apsw
import pytest

from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.cli.command_line import main
from stagebook.data_folder.secrets import DataFolder, ServerAddress
from stagebook.history.history_files import HistoryFiles
from stagebook.server.system_clock import SystemRandomness
from stagebook.stage.arns import parse_arn
from stagebook.stage.resources import ParticipantRecord
from tests.book.sample import (
    ARN,
    COMPOSITION_ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    open_book,
    open_session,
    put,
)
from tests.book.sqlite.test_upgrades import make_book
from tests.cli.written_book import COMPOSITION_EVENTS, EVENTS, write_book, write_composition
from tests.serving import COMMAND, DEADLINE_SECONDS, clean_environment


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "data"
    write_book(folder)
    return folder


def listed(data: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> list[dict[str, str]]:
    """Return the documents that `events list --output json` prints."""
    assert main(["events", "list", "--data", str(data), "--output", "json", *flags]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


FILTERS: list[tuple[str, int]] = [
    ("", EVENTS),
    (f"--stage {ARN}", 9),
    (f"--session {SESSION}", 9),
    ("--session st-unknown", 0),
    ("--participant p-bob", 5),
    (f"--session {SESSION} --participant p-bob", 5),
    ("--user ann", 4),
    (f"--session {SESSION} --user ann", 4),
    ("--name joined", 3),
    ("--name JOINED --name LEFT", 5),
    ("--error any", 1),
    ("--error bitrate_exceeded", 1),
    ("--error INVALID_INPUT", 0),
    ("--cause peer_lost", 2),
    ("--since 2023-11-14T22:13:29Z", 3),
    ("--until 2023-11-14T22:13:22", 2),
    ("--since 2023-11-14T22:13:22+00:00 --until 2023-11-14T22:13:25.001Z", 3),
    ("--since 1h", 0),
    ("--since 9999-01-01", 0),
    ("--since 9999-01-01 --user ann", 0),
    ("--until 9999-01-01", EVENTS),
    ("--until 1h", EVENTS),
    ("--limit 3", 3),
    ("--limit 3 --order asc", 3),
]


def test_a_stage_may_be_named_by_its_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DataFolder(tmp_path / "data")
    write_book(folder.path)
    stage = parse_arn(ARN)
    assert main(["events", "list", "--data", str(folder.path), "--stage", stage.resource_id]) == 1
    assert "no server has been started" in capsys.readouterr().err
    folder.access_key(account_id=stage.account_id, randomness=SystemRandomness())
    folder.write_server_address(ServerAddress(endpoint_url="http://127.0.0.1:8080", region=stage.region))
    of_stage = listed(folder.path, capsys, "--stage", ARN)
    assert of_stage
    assert listed(folder.path, capsys, "--stage", stage.resource_id) == of_stage


def is_filter_of_index(flags: str) -> bool:
    """Return whether a filter selects events by more than a session and times."""
    return any(flag in flags for flag in ("--stage", "--part", "--user", "--name", "--error", "--cause")) and (
        "--session" not in flags
    )


@pytest.mark.parametrize(("flags", "count"), FILTERS)
def test_a_filter_selects_events(data: Path, capsys: pytest.CaptureFixture[str], flags: str, count: int) -> None:
    events = listed(data, capsys, *flags.split())
    assert len(events) == count
    sequences = [int(event["sequence"]) for event in events]
    assert sequences == sorted(sequences, reverse="asc" not in flags)


@pytest.fixture(scope="module")
def composed_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed") / "data"
    write_composition(folder)
    return folder


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ("", EVENTS + COMPOSITION_EVENTS),
        ("--order asc --limit 12", EVENTS + 2),
        (f"--stage {ARN}", 9 + COMPOSITION_EVENTS),
        (f"--composition {COMPOSITION_ARN}", COMPOSITION_EVENTS),
        (f"--composition {COMPOSITION_ARN} --limit 2", 2),
        (f"--composition {COMPOSITION_ARN} --name left", 0),
        (f"--composition {COMPOSITION_ARN}0", 0),
        ("--name composition_failed", 1),
        ("--name composition_failed --name JOINED --order asc", 4),
        ("--error any", 3),
        ("--error accessdeniedexception", 2),
        ("--cause output", 2),
        ("--user ann", 4),
        (f"--session {SESSION}", 9),
        ("--since 2023-11-14T23:13:22Z", 2),
        ("--until 2023-11-14T23:13:22Z", EVENTS + 1),
    ],
)
def test_events_of_compositions_are_among_those_of_participants(
    composed_data: Path, capsys: pytest.CaptureFixture[str], flags: str, count: int
) -> None:
    test_a_filter_selects_events(composed_data, capsys, flags, count)


def test_a_table_says_which_composition_and_why(composed_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "list", "--data", str(composed_data), "--error", "AccessDeniedException"]) == 0
    shown = "".join(capsys.readouterr().out.split())
    assert "composition/abcdABCDefgh,destinationGHFabcgefABC,AccessDeniedException:AccessdeniedtoS3bucket." in shown


def test_an_export_has_the_events_of_compositions(composed_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ["events", "export", "--data", str(composed_data), "--output", "-"]
    assert main([*export, "--name", "COMPOSITION_FAILED"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["compositionArn"] == COMPOSITION_ARN
    assert main(export) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == EVENTS + COMPOSITION_EVENTS
    assert [int(each["sequence"]) for each in lines] == sorted(int(each["sequence"]) for each in lines)


@pytest.fixture(scope="module")
def indexed_data(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder in which a server has made a search index."""
    folder = tmp_path_factory.mktemp("indexed") / "data"
    shutil.copytree(data, folder)
    with HistoryFiles(folder / "book.sqlite3") as files:
        assert files.index.catch_up(maximum_batches=10).is_complete
    return folder


@pytest.mark.parametrize("flags", [flags for flags, _ in FILTERS if is_filter_of_index(flags)])
def test_the_search_index_finds_the_same_without_the_log(
    data: Path,
    indexed_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
) -> None:
    expected = listed(data, capsys, *flags.split())
    monkeypatch.setattr(TableEventLog, "read_entries_before", None)
    assert listed(indexed_data, capsys, *flags.split(), "--limit", "100") == expected
    assert listed(indexed_data, capsys, *flags.split(), "--limit", "1") == expected[:1]


def test_the_search_index_finds_the_events_of_compositions(
    composed_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--stage", ARN, "--limit", "100")
    expected = listed(composed_data, capsys, *flags)
    folder = tmp_path / "data"
    shutil.copytree(composed_data, folder)
    with HistoryFiles(folder / "book.sqlite3") as files:
        files.index.catch_up(maximum_batches=10)
    monkeypatch.setattr(TableEventLog, "read_entries_before", None)
    assert listed(folder, capsys, *flags) == expected


def test_the_log_is_read_while_the_index_is_being_built(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    (folder / "search.sqlite3").touch()
    monkeypatch.setattr("stagebook.cli.events.event_scan.CATCH_UP_BATCHES", 0)
    assert len(listed(folder, capsys, "--user", "bob")) == 5


def test_a_command_makes_no_index(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed(data, capsys, "--user", "bob")
    assert not (data / "search.sqlite3").exists()


def test_a_limit_keeps_the_first_of_the_order(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = listed(data, capsys)
    assert listed(data, capsys, "--limit", "2") == everything[:2]
    assert listed(data, capsys, "--limit", "2", "--order", "asc") == everything[:-3:-1]
    of_session = ("--session", SESSION, "--limit", "2")
    assert listed(data, capsys, *of_session) == everything[1:3]
    assert listed(data, capsys, *of_session, "--order", "asc") == everything[:-3:-1]


@pytest.mark.parametrize("read_size", [1, 3])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_log_is_read_in_pages(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, read_size: int, order: str
) -> None:
    expected = listed(data, capsys, "--order", order)
    monkeypatch.setattr("stagebook.cli.events.event_scan.EVENTS_PER_READ", read_size)
    assert listed(data, capsys, "--order", order) == expected
    assert len(listed(data, capsys, "--order", order, "--user", "bob")) == 5


def test_a_table_shows_events_and_no_control_characters(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "list", "--data", str(data)]) == 0
    table = capsys.readouterr().out
    for text in ("2023-11-14T22:13:20.000Z", "PUBLISH_ERROR", "BITRATE_EXCEEDED, 9 Mbit/s", "peer_lost", "p-ann"):
        assert text in table
    assert "\\x1b]0;owned\\x07[red]=1+1" in table
    assert "\x1b" not in table


def shown_in_terminal(data: Path, **variables: str) -> str:
    """Return what `events list` writes to a terminal."""
    near, far = pty.openpty()
    environment = clean_environment(TERM="xterm-256color", **variables)
    command = [*COMMAND, "events", "list", "--data", str(data), "--limit", "1"]
    with subprocess.Popen(command, stdout=far, env=environment) as process:
        os.close(far)
        parts = []
        while True:
            try:
                part = os.read(near, 65_536)
            except OSError:  # Linux reports the end of a terminal so.
                break
            if not part:
                break
            parts.append(part)
        assert process.wait(DEADLINE_SECONDS) == 0
    os.close(near)
    return b"".join(parts).decode()


def test_a_terminal_has_colours_unless_no_color_is_set(data: Path) -> None:
    assert "\x1b[" in shown_in_terminal(data)
    plain = shown_in_terminal(data, NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert "JOINED" in plain


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--name JOIN", "JOINED"),
        ("--error unknown", "BITRATE_EXCEEDED"),
        ("--cause unknown", "peer_lost"),
        ("--since soon", "2026-01-31"),
        ("--limit 0", "whole number"),
        ("--limit -1", "whole number"),
    ],
)
def test_a_wrong_flag_is_explained(data: Path, capsys: pytest.CaptureFixture[str], flags: str, named: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["events", "list", "--data", str(data), *flags.split()])
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_a_missing_book_names_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "list", "--data", str(tmp_path)]) == 1
    assert "--data" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_older_book_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(tmp_path / "book.sqlite3", version=5)
    assert main(["sessions", "list", "--data", str(tmp_path)]) == 1
    assert "start the server once" in capsys.readouterr().err


async def test_a_book_is_read_while_a_server_writes_it_and_after_a_crash(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    book = open_book(folder / "book.sqlite3")
    assert len(listed(folder, capsys)) == EVENTS
    await commit(book, append("p-eve", arn=OTHER_ARN, session_id=OTHER_SESSION))
    assert len(listed(folder, capsys)) == EVENTS + 1
    # What a killed server leaves behind: the last commits are in the log only.
    crashed = tmp_path / "crashed"
    shutil.copytree(folder, crashed)
    await book.close()
    (crashed / "book.sqlite3-shm").unlink()
    assert len(listed(crashed, capsys)) == EVENTS + 1


def test_a_damaged_book_is_an_error(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(data, tmp_path / "data")
    connection = apsw.Connection(str(tmp_path / "data" / "book.sqlite3"))
    connection.execute("UPDATE event SET name = 99")
    connection.close()
    assert main(["events", "list", "--data", str(tmp_path / "data")]) == 1
    assert "is damaged" in capsys.readouterr().err


def test_tail_shows_new_events_and_ends_on_ctrl_c(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    with _tail(folder, "--output", "json", "--limit", "2", "--user", "ann") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        earlier = [json.loads(process.stdout.readline())["name"] for _ in range(2)]
        assert earlier == ["PUBLISH_STOPPED", "LEFT"]
        asyncio.run(_append_session(folder / "book.sqlite3"))
        assert json.loads(process.stdout.readline())["sessionId"] == "st-next"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 130
        assert process.stderr.read() == ""


@pytest.mark.parametrize("has_events", [False, True])
def test_a_pipe_that_is_closed_early_is_no_failure(data: Path, tmp_path: Path, has_events: bool) -> None:  # noqa: FBT001 - a parameter
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    with _tail(folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        if has_events:
            asyncio.run(_append_session(folder / "book.sqlite3"))
        process.stdout.close()
        assert process.wait(DEADLINE_SECONDS) == 141
        assert process.stderr.read() == ""


def _tail(folder: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "events", "tail", "--data", str(folder), "--since", "2023-01-01", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


async def _append_session(path: Path) -> None:
    """Append a session of the same stage in which `ann` comes back."""
    book, start_ms = open_book(path), NOON_MS + 7_200_000
    await commit(
        book,
        open_session("st-next", start_ms=start_ms),
        put(ParticipantRecord(participant_id="p-ann", user_id="ann"), session_id="st-next"),
        append("p-ann", session_id="st-next", at_ms=start_ms),
    )
    await book.close()


def test_a_timeline_has_a_lane_for_each_participant(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "timeline", "--session", SESSION, "--data", str(data)]) == 0
    times, ann, bob, legend = capsys.readouterr().out.rstrip("\n").split("\n")
    assert times.split() == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:30.000Z"]
    assert ann.startswith("ann ░")
    assert "█" in ann
    assert "▒" in bob
    assert bob.count("×") == 1
    assert [word for word in legend.split() if word.isalpha()] == ["joined", "watching", "publishing", "error"]


def test_a_timeline_says_that_there_are_more(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "timeline", "--session", SESSION, "--data", str(data), "--limit", "1"]) == 0
    assert "--limit shows more" in capsys.readouterr().out
    assert main(["events", "timeline", "--session", SESSION, "--data", str(data), "--user", "bob"]) == 0
    shown = capsys.readouterr().out
    assert "bob" in shown
    assert "ann" not in shown


def test_a_timeline_of_an_unknown_session_is_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "timeline", "--session", "st-0", "--data", str(data)]) == 1
    assert "no session st-0" in capsys.readouterr().err

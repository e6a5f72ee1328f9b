"""`stagebook events export`: complete files, at constant memory, that appear when they are complete."""

import asyncio
import csv
import gzip
import io
import json
import os
import pty
import signal
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet
import pytest

from stagebook.cli.command_line import main
from stagebook.history.export import parquet_file
from stagebook.history.export.event_lines import CSV_COLUMNS
from tests.cli.written_book import EVENTS, HOSTILE_USER, write_book
from tests.history.export.exported_book import write_events
from tests.serving import COMMAND, DEADLINE_SECONDS, clean_environment


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "data"
    write_book(folder)
    return folder


def export(data: Path, target: Path | str, *flags: str) -> int:
    return main(["events", "export", "--data", str(data), "--output", str(target), *flags])


def users(data: Path, target: Path, form: str) -> list[str]:
    """Export in a format; return the user ids in the file."""
    assert export(data, target, "--format", form) == 0
    if form == "parquet":
        return [row["userId"] for row in pyarrow.parquet.read_table(target).to_pylist()]
    content = target.read_text(encoding="utf-8")
    if form == "csv":
        rows = csv.DictReader(io.StringIO(content, newline=""))
        assert tuple(rows.fieldnames or ()) == CSV_COLUMNS
        return [row["userId"] for row in rows]
    return [json.loads(line)["userId"] for line in content.splitlines()]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_each_format_has_every_event(data: Path, tmp_path: Path, form: str) -> None:
    found = users(data, tmp_path / "file", form)
    assert len(found) == EVENTS
    assert found[-1] == HOSTILE_USER
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_filter_selects_events(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(data, tmp_path / "file", "--user", "bob", "--name", "LEFT") == 0
    assert len((tmp_path / "file").read_text(encoding="utf-8").splitlines()) == 1
    assert capsys.readouterr().err == "exported 1 event\n"


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_is_compressed(data: Path, tmp_path: Path, form: str) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    assert export(data, plain, "--format", form) == export(data, packed, "--format", form, "--gzip") == 0
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()


def test_standard_output_is_a_file(data: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert export(data, tmp_path / "file") == 0
    assert export(data, "-") == 0
    assert capfdbinary.readouterr().out == (tmp_path / "file").read_bytes()


def test_a_device_is_written_and_not_replaced(data: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["wc", "-l", str(fifo)], stdout=subprocess.PIPE, text=True) as reader:
        assert export(data, fifo) == 0
        assert reader.stdout is not None
        assert reader.stdout.read().split()[0] == str(EVENTS)
    assert fifo.is_fifo()


@pytest.mark.parametrize(
    ("target", "flags", "named"),
    [
        ("missing/file", [], "No such file or directory"),
        ("", [], "cannot be written"),
        ("file", ["--format", "parquet", "--gzip"], "leave --gzip out"),
    ],
)
def test_what_cannot_be_written_is_explained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, flags: list[str], named: str
) -> None:
    assert export(data, tmp_path / target, *flags) == 1
    assert named in capsys.readouterr().err
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_parquet_without_its_library_names_the_extra(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("pyarrow")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert export(data, tmp_path / "file", "--format", "parquet") == 1
    assert "pip install 'stagebook[parquet]'" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_export_leaves_nothing(data: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The program stops itself when it has opened the file, and is interrupted then."""
    (tmp_path / "file").write_text("former", encoding="utf-8")
    script = (
        "import os, sys; from stagebook.cli.events import event_export; from stagebook.cli.command_line import main\n"
        "def stop(*_): os.write(1, b'x'); sys.stdin.read()\n"
        "event_export._copy = stop\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["events", "export", "--data", str(data), "--output", str(tmp_path / "file")]
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == code
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["former"]


def test_a_closed_pipe_ends_an_export_without_a_traceback(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    asyncio.run(write_events(data / "book.sqlite3", 2_000))
    command = [*COMMAND, "events", "export", "--data", str(data), "--output", "-"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(DEADLINE_SECONDS) == 141
        assert process.stderr.read() == ""


@pytest.fixture(scope="module")
def sized_books(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return data folders whose books have 2,000 and 8,000 events."""
    folders = []
    for count in (2_000, 8_000):
        folder = tmp_path_factory.mktemp("sized")
        asyncio.run(write_events(folder / "book.sqlite3", count))
        folders.append(folder)
    return folders


def test_a_terminal_shows_the_progress(data: Path, tmp_path: Path) -> None:
    shown = terminal_output([*COMMAND, "events", "export", "--data", str(data), "--output", str(tmp_path / "file")])
    assert "0 events" in shown
    assert f"{EVENTS} events" in shown
    assert shown.endswith(f"exported {EVENTS} events\r\n")


def terminal_output(command: list[str]) -> str:
    """Return what a command writes to a terminal as its standard error."""
    near, far = pty.openpty()
    with subprocess.Popen(command, stderr=far, env=clean_environment(TERM="xterm")) as process:
        os.close(far)
        parts = []
        with suppress(OSError):  # Linux reports the end of a terminal so.
            while part := os.read(near, 65_536):
                parts.append(part)
        assert process.wait(DEADLINE_SECONDS) == 0
    os.close(near)
    return b"".join(parts).decode()


def _peak_bytes(data: Path, target: Path, form: str) -> int:
    tracemalloc.start()
    try:
        assert export(data, target, "--format", form) == 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_the_memory_does_not_depend_on_the_number_of_events(
    sized_books: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(parquet_file, "ROWS_PER_GROUP", 1_000)
    export(sized_books[0], tmp_path / "first", "--format", form)  # What is imported and cached once.
    small, large = (_peak_bytes(data, tmp_path / "file", form) for data in sized_books)
    assert large < 1.15 * small + 100_000

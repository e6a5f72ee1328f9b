"""The part `export`: exports of a large and a small book to files, and the report of a large session."""

import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.figures import median
from bench.page.books import LARGE, SMALL, BookPlan, build_book
from bench.report import Part, Table, Target, number
from stagebook.data_folder.secrets import DataFolder

FORMATS = ("jsonl", "csv", "parquet")
ROUNDS = 2
SESSION = BookPlan(sessions=1, busy_participants=0, busy_events=0, other_participants=5_000, other_events=20)
SESSION_ID = "st-0000000000000"
MAXIMUM_GROWTH_MB = 30.0
"""8 MiB of pages of the book, and a whole group of rows in Parquet, which the small book does not fill."""
MAXIMUM_CPU_US = 25.0

_PROGRAM = """
import sys, time
from stagebook.cli.command_line import main
code = main(sys.argv[1:])
status = open("/proc/self/status").read()
print(status.partition("VmHWM:")[2].split()[0], time.process_time(), file=sys.stderr)
sys.exit(code)
"""
"""Runs a command, and prints its peak resident memory in KiB. That of rusage would include the parent's before exec."""


class CommandRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a command: its time and CPU time with the start of the interpreter, its peak memory, its output."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: bytes


def measure_export(folder: Path) -> Part:
    """Measure exports in all formats and a session report; return the report."""
    large, small = _data(folder, "large", LARGE), _data(folder, "small", SMALL)
    rows, costs, growths = [], [], []
    for form in FORMATS:
        runs = [_export(large, folder / f"events.{form}", form) for _ in range(ROUNDS)]
        little = _export(small, folder / f"little.{form}", form)
        rate = LARGE.events / median([run.seconds for run in runs])
        peak = max(run.peak_mb for run in runs)
        size_mb = (folder / f"events.{form}").stat().st_size / 1e6
        cost_us = median([run.cpu_seconds for run in runs]) / LARGE.events * 1e6
        rows.append((form, number(rate), number(cost_us), number(size_mb), number(peak), number(little.peak_mb)))
        costs.append(cost_us)
        growths.append(peak - little.peak_mb)
    report = _report(_data(folder, "session", SESSION))
    return Part(
        title="Exports and session reports",
        method=(
            f"`stagebook events export` writes the {LARGE.events:,} events of a book to a file, and for comparison the "
            f"{SMALL.events:,} of a small one. The rate includes the start of the interpreter. The peak is the largest "
            f"resident memory of the process (VmHWM). Figures are medians of {ROUNDS} runs, peaks the maximum. "
            f"`stagebook sessions show --output json` reports {SESSION.other_participants:,} participants with "
            f"{SESSION.events:,} events: it reads them once for the totals and once for the lines."
        ),
        tables=(
            Table(
                headings=("format", "events/s", "CPU us/event", "MB", "peak MB", f"peak MB of {SMALL.events:,} events"),
                rows=tuple(rows),
            ),
            Table(
                headings=("report", "events", "s", "CPU s", "peak MB"),
                rows=(
                    (
                        f"{SESSION.other_participants:,} participants",
                        number(SESSION.events),
                        number(report.seconds),
                        number(report.cpu_seconds),
                        number(report.peak_mb),
                    ),
                ),
            ),
        ),
        targets=(
            Target(what="export, CPU of an event", measured=max(costs), at_most=MAXIMUM_CPU_US, unit="us"),
            Target(
                what="export, memory above that of a small book",
                measured=max(growths),
                at_most=MAXIMUM_GROWTH_MB,
                unit="MB",
            ),
        ),
    )


def _data(folder: Path, name: str, plan: BookPlan) -> Path:
    data = DataFolder(folder / name)
    data.prepare()
    build_book(data.book_path, plan)
    return data.path


def _export(data: Path, target: Path, form: str) -> CommandRun:
    arguments = ("events", "export", "--format", form, "--output", str(target), "--data", str(data))
    run = _run(*arguments)
    if form == "jsonl":
        with target.open("rb") as lines:
            assert sum(1 for _ in lines) in (LARGE.events, SMALL.events)
    return run


def _report(data: Path) -> CommandRun:
    run = _run("sessions", "show", SESSION_ID, "--output", "json", "--data", str(data))
    head, *participants = run.output.splitlines()
    assert json.loads(head)["totals"]["events"] == SESSION.events
    assert len(participants) == SESSION.other_participants
    return run


def _run(*arguments: str) -> CommandRun:
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, check=True)
    seconds = time.perf_counter() - began
    peak_kib, cpu_seconds = ended.stderr.split()[-2:]
    return CommandRun(
        seconds=seconds,
        cpu_seconds=float(cpu_seconds),
        peak_mb=int(peak_kib) * 1_024 / 1e6,
        output=ended.stdout,
    )

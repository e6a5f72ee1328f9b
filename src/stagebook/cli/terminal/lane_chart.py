"""The timeline of a session in a terminal: one lane for each participant, one cell for each part of the time.

A cell shows the most important of what happened in its time: an error, then publishing, watching and presence.
"""

from collections.abc import Iterable, Sequence

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from stagebook.cli.terminal.terminal_text import printable
from stagebook.history.sessions.participant_report import Interval, ParticipantReport
from stagebook.stage.timestamps import iso8601

MAXIMUM_LABEL_WIDTH = 24
MINIMUM_CELLS = 10


class LaneMark(msgspec.Struct, frozen=True, kw_only=True):
    """How a cell is drawn, also with ASCII alone, and what it means."""

    symbol: str
    ascii_symbol: str
    style: str
    meaning: str


JOINED = LaneMark(symbol="░", ascii_symbol="-", style="green", meaning="joined")
WATCHED = LaneMark(symbol="▒", ascii_symbol="=", style="blue", meaning="watching")
PUBLISHED = LaneMark(symbol="█", ascii_symbol="#", style="cyan", meaning="publishing")
FAILED = LaneMark(symbol="×", ascii_symbol="!", style="bold red", meaning="error")
MARKS = (JOINED, WATCHED, PUBLISHED, FAILED)


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One participant of the chart."""

    label: str
    report: ParticipantReport


class TimeScale(msgspec.Struct, frozen=True, kw_only=True):
    """Maps times from `start_ms` to `end_ms`, milliseconds since the epoch, to `cells` cells."""

    start_ms: int
    end_ms: int
    cells: int

    def cell(self, time_ms: int) -> int:
        """Return the cell of a time; the first or the last one for a time outside."""
        length = max(1, self.end_ms - self.start_ms)
        return min(self.cells - 1, max(0, (time_ms - self.start_ms) * self.cells // length))


def lane_cells(report: ParticipantReport, scale: TimeScale) -> list[LaneMark | None]:
    """Return the cells of one lane, None where the participant was not on the stage."""
    cells: list[LaneMark | None] = [None] * scale.cells
    watched = [interval for intervals in report.watched.values() for interval in intervals]
    for intervals, mark in ((report.joined, JOINED), (watched, WATCHED), (report.published, PUBLISHED)):
        _fill(cells, intervals, mark, scale)
    for error in report.errors:
        cells[scale.cell(error.time_ms)] = FAILED
    return cells


def print_chart(console: Console, lanes: Sequence[Lane], *, start_ms: int, end_ms: int) -> None:
    """Print the lanes between two times, with the times above them and a legend below."""
    label_width = min(MAXIMUM_LABEL_WIDTH, max((cell_len(printable(lane.label)) for lane in lanes), default=0))
    width = max(MINIMUM_CELLS, console.width - label_width - 1)
    scale = TimeScale(start_ms=start_ms, end_ms=end_ms, cells=width)
    is_ascii = console.options.ascii_only
    first, last = iso8601(start_ms), iso8601(end_ms)
    gap = width - len(first) - len(last)
    times = f"{first}{' ' * gap}{last}" if gap > 0 else first
    _print(console, Text(" " * (label_width + 1) + times, style="dim"))
    for lane in lanes:
        line = Text(set_cell_size(printable(lane.label), label_width) + " ")
        for mark in lane_cells(lane.report, scale):
            line.append(*_drawn(mark, is_ascii=is_ascii))
        _print(console, line)
    legend = Text(" " * (label_width + 1))
    for mark in MARKS:
        legend.append(*_drawn(mark, is_ascii=is_ascii))
        legend.append(f" {mark.meaning}  ", style="dim")
    _print(console, legend)


def _fill(cells: list[LaneMark | None], intervals: Iterable[Interval], mark: LaneMark, scale: TimeScale) -> None:
    for interval in intervals:
        end_ms = scale.end_ms if interval.end_ms is None else interval.end_ms
        for cell in range(scale.cell(interval.start_ms), scale.cell(end_ms) + 1):
            cells[cell] = mark


def _drawn(mark: LaneMark | None, *, is_ascii: bool) -> tuple[str, str]:
    if mark is None:
        return " ", ""
    return (mark.ascii_symbol if is_ascii else mark.symbol), mark.style


def _print(console: Console, line: Text) -> None:
    console.print(line, overflow="crop", no_wrap=True, crop=False)

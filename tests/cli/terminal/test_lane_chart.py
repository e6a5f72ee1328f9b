"""The timeline in a terminal: what each cell shows."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from stagebook.cli.terminal.lane_chart import Lane, TimeScale, lane_cells, print_chart
from stagebook.history.sessions.participant_report import Interval, ParticipantReport, ReportedError
from stagebook.stage.events import ErrorCode, EventName


def interval(start: int, end: int | None) -> Interval:
    return Interval(start=start << 20, end=None if end is None else end << 20)


def failed(time_ms: int) -> ReportedError:
    return ReportedError(sequence=time_ms << 20, name=EventName.PUBLISH_ERROR, code=ErrorCode.INVALID_INPUT)


REPORT = ParticipantReport(
    joined=(interval(0, 40), interval(80, None)),
    published=(interval(20, 29),),
    watched={"q": (interval(10, 20),)},
    errors=(failed(90),),
)
SCALE = TimeScale(start_ms=0, end_ms=100, cells=10)


def drawn(report: ParticipantReport, scale: TimeScale) -> str:
    return "".join(" " if mark is None else mark.ascii_symbol for mark in lane_cells(report, scale))


def test_a_cell_shows_the_most_important() -> None:
    assert drawn(REPORT, SCALE) == "-=#--   -!"


@pytest.mark.parametrize("cells", [1, 3, 10, 1_000])
def test_a_lane_fits_the_width(cells: int) -> None:
    assert len(drawn(REPORT, TimeScale(start_ms=0, end_ms=100, cells=cells))) == cells


def test_a_session_without_length_has_one_cell() -> None:
    assert drawn(ParticipantReport(joined=(interval(5, 5),)), TimeScale(start_ms=5, end_ms=5, cells=4)) == "-   "


def test_times_outside_are_at_the_ends() -> None:
    report = ParticipantReport(joined=(interval(50, 500),), errors=(failed(0),))
    assert drawn(report, TimeScale(start_ms=40, end_ms=60, cells=4)) == "! --"


def chart(lanes: Sequence[Lane], *, width: int, encoding: str = "utf-8") -> list[str]:
    bytes_ = io.BytesIO()
    stream = io.TextIOWrapper(bytes_, encoding=encoding)
    console = Console(file=stream, width=width, highlight=False, markup=False, color_system=None)
    print_chart(console, lanes, start_ms=0, end_ms=100)
    stream.flush()
    return bytes_.getvalue().decode(encoding).rstrip("\n").split("\n")


def test_the_lines_are_as_wide_as_the_terminal() -> None:
    lanes = [Lane(label="ann", report=REPORT), Lane(label="日本\x1b" + "x" * 50, report=REPORT)]
    times, ann, other, _ = chart(lanes, width=90)
    assert len(ann) == 90
    assert times.rstrip().endswith("1970-01-01T00:00:00.100Z")
    assert other.startswith("日本\\x1b" + "x")
    assert len(chart(lanes, width=20)) == 4


def test_an_encoding_without_blocks_has_ascii() -> None:
    lines = chart([Lane(label="ann", report=REPORT)], width=60, encoding="ascii")
    assert "#" in lines[1]
    assert "!" in lines[-1]

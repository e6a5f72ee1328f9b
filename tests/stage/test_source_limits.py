"""When a publication breaks a limit: at once by its resolution and B-frames, after a window by its bitrate."""

from msgspec.structs import replace

from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import STRICT
from stagebook.stage.source_limits import Measurement, SourceWatch, judge


def seen(bitrate_bps: int = 1_000_000, size: tuple[int, int] | None = (1_280, 720)) -> Measurement:
    width, height = size or (None, None)
    return Measurement(bitrate_bps=bitrate_bps, width=width, height=height)


def verdicts(*measurements: Measurement) -> list[ErrorCode | None]:
    watch, found = SourceWatch(), []
    for measurement in measurements:
        watch, code = judge(watch, measurement, STRICT)
        found.append(code)
    return found


def test_720p_in_either_orientation_is_allowed() -> None:
    assert verdicts(seen(), seen(size=(720, 1_280)), seen(size=None)) == [None, None, None]


def test_a_resolution_above_the_limit_breaks_it_at_once() -> None:
    assert verdicts(seen(size=(1_920, 1_080))) == [ErrorCode.RESOLUTION_EXCEEDED]
    assert verdicts(seen(size=(1_280, 736))) == [ErrorCode.RESOLUTION_EXCEEDED]


def test_a_short_peak_of_the_bitrate_is_allowed() -> None:
    assert set(verdicts(*[seen(20_000_000)] * 4, seen(), *[seen(20_000_000)] * 4)) == {None}


def test_a_bitrate_that_stays_above_the_limit_breaks_it_after_the_window() -> None:
    assert verdicts(*[seen(8_500_001)] * 5) == [None] * 4 + [ErrorCode.BITRATE_EXCEEDED]


def test_the_limit_itself_is_allowed() -> None:
    assert set(verdicts(*[seen(8_500_000)] * 10)) == {None}


def test_one_b_frame_breaks_the_limit_at_once() -> None:
    assert verdicts(seen(), replace(seen(), has_b_frames=True)) == [None, ErrorCode.B_FRAME_PRESENT]


def test_the_resolution_is_reported_before_b_frames() -> None:
    assert verdicts(replace(seen(size=(1_920, 1_080)), has_b_frames=True)) == [ErrorCode.RESOLUTION_EXCEEDED]


def test_a_bitrate_that_is_not_measured_breaks_no_limit_and_ends_a_run_above_it() -> None:
    assert set(verdicts(*[seen(20_000_000)] * 4, replace(seen(), bitrate_bps=None), *[seen(20_000_000)] * 4)) == {None}

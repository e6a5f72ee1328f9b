"""When a publication is cut: at once for its resolution and its B-frames, after a window for its bitrate."""

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


def test_720p_in_either_orientation_is_fine() -> None:
    assert verdicts(seen(), seen(size=(720, 1_280)), seen(size=None)) == [None, None, None]


def test_a_resolution_above_the_limit_is_cut_at_once() -> None:
    assert verdicts(seen(size=(1_920, 1_080))) == [ErrorCode.RESOLUTION_EXCEEDED]
    assert verdicts(seen(size=(1_280, 736))) == [ErrorCode.RESOLUTION_EXCEEDED]


def test_one_spike_cuts_nobody_off() -> None:
    assert set(verdicts(*[seen(20_000_000)] * 4, seen(), *[seen(20_000_000)] * 4)) == {None}


def test_a_bitrate_that_stays_above_the_limit_is_cut_after_the_window() -> None:
    assert verdicts(*[seen(8_500_001)] * 5) == [None] * 4 + [ErrorCode.BITRATE_EXCEEDED]


def test_the_limit_itself_is_allowed() -> None:
    assert set(verdicts(*[seen(8_500_000)] * 10)) == {None}


def test_one_b_frame_is_cut_at_once() -> None:
    assert verdicts(seen(), replace(seen(), has_b_frames=True)) == [None, ErrorCode.B_FRAME_PRESENT]


def test_a_resolution_tells_more_than_a_b_frame() -> None:
    assert verdicts(replace(seen(size=(1_920, 1_080)), has_b_frames=True)) == [ErrorCode.RESOLUTION_EXCEEDED]

"""When a running publication breaks a limit (user guide, "Stream Ingest" and "Service Quotas")."""

import msgspec

from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import Limits


class SourceWatch(msgspec.Struct, frozen=True, kw_only=True):
    """What must be remembered between two measurements of a source: seconds in a row above the bitrate limit."""

    seconds_above: int = 0


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a source. Width and height are None while unknown."""

    bitrate_bps: int
    width: int | None
    height: int | None
    has_b_frames: bool = False


def judge(watch: SourceWatch, seen: Measurement, limits: Limits) -> tuple[SourceWatch, ErrorCode | None]:
    """Return the watch to keep and the code of the limit that is broken, or None.

    A resolution breaks its limit at once, in either orientation, and one B-frame is one too many; a bitrate must stay
    above for the limit's window, so that one keyframe or scene change cuts nobody off.
    """
    above = watch.seconds_above + 1 if seen.bitrate_bps > limits.publish_bitrate_bps else 0
    kept = SourceWatch(seconds_above=above)
    if seen.width is not None and seen.height is not None:
        long_side, short_side = max(seen.width, seen.height), min(seen.width, seen.height)
        if long_side > limits.publish_long_side_pixels or short_side > limits.publish_short_side_pixels:
            return kept, ErrorCode.RESOLUTION_EXCEEDED
    if seen.has_b_frames:
        return kept, ErrorCode.B_FRAME_PRESENT
    if above >= limits.publish_bitrate_window_seconds:
        return kept, ErrorCode.BITRATE_EXCEEDED
    return kept, None

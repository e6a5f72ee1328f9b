"""When a running publication breaks a limit (user guide, "Stream Ingest" and "Service Quotas").

An engine measures each source once per second. A frame size above the limit, or a B-frame, is a property of the
encoder's configuration and does not go away by itself, so one measurement is enough. The bitrate varies from second to
second, because keyframes and scene changes are large, so it must stay above its limit for a number of seconds in a row.
"""

import msgspec

from stagebook.stage.events import ErrorCode
from stagebook.stage.limits import Limits


class SourceWatch(msgspec.Struct, frozen=True, kw_only=True):
    """The state between two measurements of a source: the number of seconds in a row above the bitrate limit."""

    seconds_above: int = 0


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a source.

    `bitrate_bps` counts the RTP payload of audio and of all simulcast layers; None from an engine that does not measure
    it. `width` and `height` are those of the newest keyframe, in pixels; None until one has been parsed.
    """

    bitrate_bps: int | None
    width: int | None
    height: int | None
    has_b_frames: bool = False


def judge(watch: SourceWatch, seen: Measurement, limits: Limits) -> tuple[SourceWatch, ErrorCode | None]:
    """Check one measurement.

    Returns the state for the next measurement, and the error code if a limit is broken: RESOLUTION_EXCEEDED or
    B_FRAME_PRESENT at once, BITRATE_EXCEEDED after `publish_bitrate_window_seconds` measurements in a row. Of several
    broken limits the first in this order is returned. What was not measured breaks no limit.
    """
    is_above = seen.bitrate_bps is not None and seen.bitrate_bps > limits.publish_bitrate_bps
    above = watch.seconds_above + 1 if is_above else 0
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

"""Decides what to do with frames whose time does not agree with the recording's timeline.

Such a frame is kept, and what follows decides within DOUBT_MS:

* Its kind agrees again: what was kept is left out, as if it was lost.
* The other kind has jumped by the same distance, or does not send: the source's clock has jumped. Another part of the
  recording begins with what was kept.
* The other kind goes on: only one kind is wrong, for example the video of a publisher that has too little processor
  time. That kind is moved to the present, and goes on without another part. Sound and pictures are then synchronised by
  their arrival.

A publisher decides how often its clock jumps, and each part costs objects and an encoder. If no other part may begin
(`stream_rate_limit`), both kinds are moved instead.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.recording.recording_timeline import MAX_SKEW_US, RecordingTimeline
from stagebook.media.tap.tapped_frame import TappedFrame

DOUBT_MS: Final = 1_000
"""How long a kind must disagree until it is moved."""
_MAX_FRAMES: Final = 250
_MAX_BYTES: Final = 2_000_000
"""Of the frames of a kind that are kept: a second at 16 Mbit/s."""


class ClockedFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame to be recorded."""

    frame: TappedFrame
    arrived_ms: int
    begins_part: bool = False
    is_after_gap: bool = False
    """Whether frames of its kind before it were left out."""


class _Doubt(msgspec.Struct, kw_only=True):
    """The frames of a kind that do not agree."""

    since_ms: int
    frames: list[ClockedFrame] = msgspec.field(default_factory=list)
    size_bytes: int = 0

    def add(self, frame: TappedFrame, now_ms: int) -> None:
        self.frames.append(ClockedFrame(frame=frame, arrived_ms=now_ms))
        self.size_bytes += len(frame.body)

    def is_over(self, now_ms: int) -> bool:
        has_lasted = abs(now_ms - self.since_ms) >= DOUBT_MS
        return has_lasted or len(self.frames) >= _MAX_FRAMES or self.size_bytes >= _MAX_BYTES

    @property
    def newest_us(self) -> int:
        return self.frames[-1].frame.time_us


class FrameClock:
    """The frames of one recording between its tap and its timeline."""

    def __init__(
        self, timeline: RecordingTimeline, *, now_ms: Callable[[], int], may_begin_part: Callable[[], bool]
    ) -> None:
        self._timeline = timeline
        self._now_ms = now_ms
        self._may_begin_part = may_begin_part
        self._doubts: dict[MediaKind, _Doubt] = {}

    def take(self, frame: TappedFrame) -> list[ClockedFrame]:
        """Take the next frame of the tap. Returns the frames that are to be placed, in this order."""
        now_ms = self._now_ms()
        if self._timeline.is_between_parts:
            self._doubts.clear()
            return [ClockedFrame(frame=frame, arrived_ms=now_ms)]
        if self._timeline.agrees(frame.kind, frame.time_us):
            was_in_doubt = self._doubts.pop(frame.kind, None) is not None
            return [ClockedFrame(frame=frame, arrived_ms=now_ms, is_after_gap=was_in_doubt)]
        doubt = self._doubts.setdefault(frame.kind, _Doubt(since_ms=now_ms))
        doubt.add(frame, now_ms)
        other_kind = MediaKind.AUDIO if frame.kind is MediaKind.VIDEO else MediaKind.VIDEO
        other = self._doubts.get(other_kind)
        if other is not None and abs(other.newest_us - frame.time_us) <= MAX_SKEW_US:
            return self._jump(frame.time_us)
        if not doubt.is_over(now_ms):
            return []
        if other is None and self._timeline.is_heard(other_kind):
            self._timeline.move(frame.kind, frame.time_us)
            return self._doubts.pop(frame.kind).frames
        return self._jump(frame.time_us)

    def _jump(self, newest_us: int) -> list[ClockedFrame]:
        """Go on with another clock. What was kept and does not belong to it is left out."""
        doubts, self._doubts = self._doubts.values(), {}
        frames = [each for doubt in doubts for each in doubt.frames]
        kept = [each for each in frames if abs(each.frame.time_us - newest_us) <= MAX_SKEW_US]
        kept.sort(key=lambda each: each.frame.time_us)
        if self._may_begin_part():
            return [msgspec.structs.replace(kept[0], begins_part=True), *kept[1:]]
        self._timeline.move_all(newest_us)
        return kept

"""The units of a tapped encoder, made into frames. Sans-I/O.

The units of audio and video share the zero of the encoder's clock (`media.media_bus`), so one offset puts both on the
timeline of the source, and they stay in sync. A source that two encoders feed shows one of them at a time (redundant
ingest); the next one has another clock and begins with an offset of its own.

An encoder takes no keyframe requests. The engine begins with the frames since the last keyframe, so that the picture is
there at once. They get the times that they had, or, after another encoder's frames, what time there is between those
and the first new one.
"""

from collections.abc import Callable, Sequence
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.tap.access_unit_builder import AccessUnitBuilder
from stagebook.media.tap.frame_builder import BuiltFrame, audio_frame
from stagebook.media.tap.packet_order import MediaPacket
from stagebook.media.tap.source_timeline import SourceTimeline

_TICK_US: Final = {kind: 1e6 / rate for kind, rate in CLOCK_RATES.items()}


class EncoderTap:
    """One encoder that feeds a tapped source."""

    def __init__(self, timeline: SourceTimeline, *, hand_on: Callable[[MediaKind, BuiltFrame, float], None]) -> None:
        """`hand_on` gets each frame with its time in microseconds."""
        self._timeline = timeline
        self._hand_on = hand_on
        self._builder = AccessUnitBuilder()
        self._offset_us: float | None = None
        """The timeline minus the encoder's clock. None before the first unit."""
        self._cached: list[BuiltFrame] = []

    def receive_cached(self, timestamp: int, payloads: Sequence[bytes]) -> None:
        """Receive a frame since the last keyframe. `timestamp` is on the encoder's clock, in ticks of 90 kHz."""
        self._cached += self._build(timestamp, payloads)

    def receive_unit(self, unit: Unit, now: float) -> None:
        """Receive a unit. `now` is in monotonic seconds."""
        time_us = unit.timestamp * _TICK_US[unit.kind]
        if self._offset_us is None:
            self._offset_us = self._timeline.arrival_us(now) - time_us
            self._hand_on_cached(time_us)
        if unit.kind is MediaKind.AUDIO:
            for payload in unit.payloads:
                self._hand_on(unit.kind, audio_frame(unit.timestamp, payload), time_us + self._offset_us)
            return
        for frame in self._build(unit.timestamp, unit.payloads):
            self._hand_on(unit.kind, frame, time_us + self._offset_us)

    def _build(self, timestamp: int, payloads: Sequence[bytes]) -> list[BuiltFrame]:
        frames: list[BuiltFrame] = []
        last = len(payloads) - 1
        for index, payload in enumerate(payloads):
            frames += self._builder.add(MediaPacket(timestamp, int(index == last), payload))
        return frames

    def _hand_on_cached(self, first_us: float) -> None:
        """Hand on the frames since the last keyframe. `first_us` is the first unit's time on the encoder's clock."""
        offset_us = self._offset_us or 0.0
        cached, self._cached = self._cached, []
        if not cached:
            return
        tick_us = _TICK_US[MediaKind.VIDEO]
        last_us = self._timeline.last_us(MediaKind.VIDEO)
        begin_us = cached[0].timestamp * tick_us + offset_us
        if not last_us:
            # The timeline begins with them.
            self._offset_us = offset_us = offset_us + max(0.0, -begin_us)
        available_us = first_us + offset_us - last_us
        for number, frame in enumerate(cached, 1):
            time_us = frame.timestamp * tick_us + offset_us
            if last_us and begin_us <= last_us:
                time_us = last_us + available_us * number / (len(cached) + 1)
            self._hand_on(MediaKind.VIDEO, frame, time_us)

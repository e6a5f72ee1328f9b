"""A relay from an encoder's source to the tracks of its uplink, as frames.

The source chooses the encoder that is sent (`encoder_source`), and begins each with its frames since the last keyframe.
Each encoder has its own clock. The uplink has one time for audio and video, which continues from encoder to encoder, as
that of a tap (`tap.encoder_tap`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.rtc.sfu.encoder.gop_cache import TimedFrame
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay
from stagebook.media.tap.encoder_tap import EncoderTap
from stagebook.media.tap.frame_builder import BuiltFrame
from stagebook.media.tap.source_timeline import SourceTimeline

_TICKS_PER_US: Final = {kind: rate / 1e6 for kind, rate in CLOCK_RATES.items()}


class FrameReceiver(Protocol):
    """Takes the frames of one kind (`packet_track`)."""

    def put(self, body: bytes, timestamp: int, *, is_keyframe: bool) -> None: ...


class UplinkRelay(SourceRelay):
    """A relay within the process."""

    def __init__(self, tracks: Mapping[MediaKind, FrameReceiver], *, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        # Without the initializer of the class above: there is no socket.
        self._tracks = tracks
        self._clock = clock
        self._timeline = SourceTimeline(clock())
        self._encoder: EncoderTap | None = None
        self._last_ticks = dict.fromkeys(MediaKind, -1)

    def close(self) -> None:
        """Take no more units."""
        self._encoder = None

    def start_encoder(self, video_parameters: str, gop: Sequence[TimedFrame]) -> None:  # noqa: ARG002 - they are in-band
        """As SourceRelay.start_encoder."""
        self._timeline.begin(self._clock())
        self._encoder = EncoderTap(self._timeline, hand_on=self._hand_on)
        for timestamp, payloads in gop:
            self._encoder.receive_cached(timestamp, payloads)

    def relay_unit(self, unit: Unit) -> None:
        """As SourceRelay.relay_unit."""
        if self._encoder is not None:
            self._encoder.receive_unit(unit, self._clock())

    def _hand_on(self, kind: MediaKind, frame: BuiltFrame, time_us: float) -> None:
        self._timeline.claim(kind, time_us, self._clock())
        # Not from whole microseconds: the timestamps of audio would be off by a sample now and then.
        ticks = max(round(time_us * _TICKS_PER_US[kind]), self._last_ticks[kind] + 1)
        self._last_ticks[kind] = ticks
        self._tracks[kind].put(frame.body, ticks, is_keyframe=frame.is_keyframe)

"""What the RTP of a source says about itself. Fed by each packet, read once a second."""

import msgspec

from stagebook.media.codecs import h264, h264_nal, h264_sps, vp8
from stagebook.media.codecs.codec_names import Codec

_CLOCK_RATE = 90_000
_WRAP = 0xFFFF_FFFF
# A packet this much older than the newest frame is late; beyond, another layer's clock has taken over.
_LATE_TICKS = 10 * _CLOCK_RATE


class SourceMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """The last interval of a source. None where nothing is known (yet)."""

    bitrate_bps: int
    width: int | None
    height: int | None
    frames_per_second: float | None
    has_b_frames: bool


class SourceMeter:
    """Measures one source. Call `add_video` for each packet of the best layer, `add_bytes` for all other payload bytes."""

    def __init__(self, *, codec: Codec, now: float) -> None:
        """`now` is a monotonic clock's seconds."""
        self._inspect = self._inspect_h264 if codec is Codec.H264 else self._inspect_vp8
        self._fragmented = codec is Codec.H264
        self._since = now
        self._bytes = 0
        self._frames = 0
        self._newest: int | None = None
        self._newest_before: int | None = None
        self._size: tuple[int, int] | None = None
        self._b_frames = False

    def add_video(self, payload: bytes, timestamp: int) -> None:
        """One RTP payload of the best video layer (no RTX header), with its RTP timestamp at 90 kHz."""
        self._bytes += len(payload)
        if timestamp != self._newest:
            newest = self._newest
            if newest is None or (timestamp - newest) & _WRAP < _WRAP - _LATE_TICKS:
                self._newest = timestamp
                self._frames += 1
        # An SPS and the first slice header are at the start of a NAL unit, so later fragments hold nothing to inspect.
        if self._fragmented and h264.continues_nal_unit(payload):
            return
        self._inspect(payload)

    def add_bytes(self, size_bytes: int) -> None:
        """Payload bytes of audio and of other layers: they count for the bitrate only."""
        self._bytes += size_bytes

    def take(self, now: float) -> SourceMeasurement:
        """What was measured since the last take; `now` is a monotonic clock's seconds. Starts the next interval."""
        elapsed = max(now - self._since, 0.001)
        width, height = self._size or (None, None)
        measured = SourceMeasurement(
            bitrate_bps=round(self._bytes * 8 / elapsed),
            width=width,
            height=height,
            frames_per_second=self._frame_rate(elapsed),
            has_b_frames=self._b_frames,
        )
        self._since = now
        self._bytes = self._frames = 0
        self._newest_before = self._newest
        self._b_frames = False
        return measured

    def _frame_rate(self, elapsed: float) -> float | None:
        """Frames of the interval over the media time they took: exact where an interval cuts a frame. Where the
        timestamps jumped, over the time of the wall."""
        if self._newest is None:
            return None
        if self._newest_before is not None and self._frames:
            media_seconds = ((self._newest - self._newest_before) & _WRAP) / _CLOCK_RATE
            if elapsed / 2 < media_seconds < elapsed * 2:
                return round(self._frames / media_seconds, 2)
        return round(self._frames / elapsed, 2)

    def _inspect_h264(self, payload: bytes) -> None:
        for unit in h264.nal_units(payload):
            if h264.slice_type(unit) is h264.SliceType.B:
                self._b_frames = True
            elif unit[0] & h264_nal.TYPE_MASK == h264_nal.SPS:
                parameters = h264_sps.parse_sps(unit)
                if parameters is not None:
                    self._size = (parameters.width, parameters.height)

    def _inspect_vp8(self, payload: bytes) -> None:
        size = vp8.keyframe_size(payload)
        if size is not None:
            self._size = size

"""Measures a source from its RTP packets: bitrate, frame size, frame rate and B-frames.

Nothing is decoded. The frame size is in the SPS (H.264) or in the header of a keyframe (VP8). B-frames, which a stage
does not allow, are recognised by the type of a slice. A new RTP timestamp is a new frame. The frame rate is the number
of frames divided by their media time, which the timestamps give: divided by the wall-clock time of an interval, a
source of 30 frames per second would measure 29 or 31.
"""

import msgspec

from stagebook.media.codecs import h264, h264_nal, h264_sps, vp8
from stagebook.media.codecs.codec_names import Codec

_CLOCK_RATE = 90_000
_TIMESTAMP_MASK = 0xFFFF_FFFF
# A packet is late if its timestamp is at most this much older than the newest. Beyond that the timestamps have jumped,
# because another layer or publisher sends now.
_LATE_TICKS = 10 * _CLOCK_RATE


class SourceMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """A source in one interval. A value that is not known yet is None."""

    bitrate_bps: int
    width: int | None
    height: int | None
    frames_per_second: float | None
    has_b_frames: bool


class SourceMeter:
    """Measures one source in intervals, which `take` ends.

    The caller passes each packet of the forwarded video layer to `add_video` and the size of every other packet to
    `add_bytes`.
    """

    def __init__(self, *, codec: Codec, now: float) -> None:
        """`now` is in monotonic seconds."""
        self._inspect = self._inspect_h264 if codec is Codec.H264 else self._inspect_vp8
        self._may_be_fragmented = codec is Codec.H264
        self._interval_start = now
        self._bytes = 0
        self._frames = 0
        self._newest_timestamp: int | None = None
        self._previous_newest_timestamp: int | None = None
        self._size: tuple[int, int] | None = None
        self._unparsed_sps: bytes | None = None
        """The newest SPS, which `take` parses: once in an interval, because that may take long for a packet."""
        self._has_b_frames = False

    def add_video(self, payload: bytes, timestamp: int) -> None:
        """Add an RTP payload of the forwarded video layer, without RTX header, with its RTP timestamp (90 kHz)."""
        self._bytes += len(payload)
        if timestamp != self._newest_timestamp:
            # A new frame is ahead of the newest one, or so far behind it that the timestamps have jumped.
            newest = self._newest_timestamp
            if newest is None or (timestamp - newest) & _TIMESTAMP_MASK < _TIMESTAMP_MASK - _LATE_TICKS:
                self._newest_timestamp = timestamp
                self._frames += 1
        # An SPS and the first slice header are at the start of a NAL unit, so later fragments hold nothing to inspect.
        if self._may_be_fragmented and h264.continues_nal_unit(payload):
            return
        self._inspect(payload)

    def add_bytes(self, size_bytes: int) -> None:
        """Add payload bytes of audio or of another layer, which count towards the bitrate only."""
        self._bytes += size_bytes

    def take(self, now: float) -> SourceMeasurement:
        """Return the measurement since the previous call, and start the next interval. `now` is in monotonic seconds.

        Width and height are those of the newest keyframe, also of an earlier interval: a keyframe may come only every
        few seconds. `has_b_frames` refers to this interval alone.
        """
        elapsed = max(now - self._interval_start, 0.001)
        parameters = None if self._unparsed_sps is None else h264_sps.parse_sps(self._unparsed_sps)
        self._unparsed_sps = None
        if parameters is not None:
            self._size = (parameters.width, parameters.height)
        width, height = self._size or (None, None)
        measured = SourceMeasurement(
            bitrate_bps=round(self._bytes * 8 / elapsed),
            width=width,
            height=height,
            frames_per_second=self._frame_rate(elapsed),
            has_b_frames=self._has_b_frames,
        )
        self._interval_start = now
        self._bytes = self._frames = 0
        self._previous_newest_timestamp = self._newest_timestamp
        self._has_b_frames = False
        return measured

    def _frame_rate(self, elapsed: float) -> float | None:
        """Return the frames of the interval divided by their media time.

        If the timestamps have jumped, so that media time and elapsed time differ by more than a factor of two, the
        elapsed time is used instead.
        """
        if self._newest_timestamp is None:
            return None
        if self._previous_newest_timestamp is not None and self._frames:
            media_seconds = ((self._newest_timestamp - self._previous_newest_timestamp) & _TIMESTAMP_MASK) / _CLOCK_RATE
            if elapsed / 2 < media_seconds < elapsed * 2:
                return round(self._frames / media_seconds, 2)
        return round(self._frames / elapsed, 2)

    def _inspect_h264(self, payload: bytes) -> None:
        for unit in h264.nal_units(payload):
            if h264.slice_type(unit) is h264.SliceType.B:
                self._has_b_frames = True
            elif unit[0] & h264_nal.TYPE_MASK == h264_nal.SPS:
                self._unparsed_sps = unit

    def _inspect_vp8(self, payload: bytes) -> None:
        size = vp8.keyframe_size(payload)
        if size is not None:
            self._size = size

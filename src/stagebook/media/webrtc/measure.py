"""What the RTP of a source says about itself: size, frame rate, bitrate, B-frames. Fed by each packet, read once a second."""

import msgspec

from stagebook.media.webrtc.codec import Codec


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """The last interval of a source. None where nothing is known (yet)."""

    bitrate_bps: int
    width: int | None
    height: int | None
    frames_per_second: float | None
    has_b_frames: bool


class SourceMeter:
    """Measures one source. Call `video` for each packet of the best layer, `count` for all other payload bytes."""

    def __init__(self, *, codec: Codec) -> None:
        raise NotImplementedError

    def video(self, payload: bytes, timestamp: int) -> None:
        """One RTP payload of the best video layer (no RTX header), with its RTP timestamp at 90 kHz."""
        raise NotImplementedError

    def count(self, size_bytes: int) -> None:
        """Payload bytes of audio and of other layers: they count for the bitrate only."""
        raise NotImplementedError

    def take(self, now: float) -> Measurement:
        """What was measured since the last take; `now` is a monotonic clock's seconds. Starts the next interval."""
        raise NotImplementedError

"""Encoded video frames and their RTP payloads, for tests of the code that inspects payloads."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

MAX_PAYLOAD_SIZE_BYTES = 1_100


def encode(codec: str, *, width: int, height: int, frames: int, options: dict[str, str]) -> list[bytes]:
    """Return encoded frames of a moving gradient, in coding order."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.options = options
    encoded_frames: list[bytes] = []
    for number in range(frames):
        frame = av.VideoFrame(width, height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            row = bytes((column + number * (5 + index)) % 256 for column in range(plane.line_size))
            plane.update(row * plane.height)
        frame.pts = number
        encoded_frames += [bytes(packet) for packet in context.encode(frame)]
    return encoded_frames + [bytes(packet) for packet in context.encode(None)]


def h264(
    *, width: int = 640, height: int = 360, frames: int = 3, b_frames: int = 0, profile: str = "baseline"
) -> list[bytes]:
    """Return H.264 frames in Annex B format, a keyframe first."""
    options = {
        "profile": profile,
        "bf": str(b_frames),
        "b_strategy": "0",
        "preset": "veryfast",
        "sc_threshold": "0",
        "g": "250",
    }
    return encode("libx264", width=width, height=height, frames=frames, options=options)


def vp8(*, width: int = 640, height: int = 360, frames: int = 3) -> list[bytes]:
    """Return VP8 frames, a keyframe first."""
    return encode(
        "libvpx", width=width, height=height, frames=frames, options={"deadline": "realtime", "lag-in-frames": "0"}
    )


def nal_units(frame: bytes) -> list[bytes]:
    """Return the NAL units of a frame in Annex B format."""
    return [unit.rstrip(b"\0") for unit in frame.split(b"\0\0\1")[1:]]


def h264_payloads(frame: bytes, *, aggregate: bool = False) -> Iterator[bytes]:
    """Yield RTP payloads (RFC 6184): single NAL units, and FU-A for large ones.

    With `aggregate`, the small NAL units are sent first in one STAP-A.
    """
    units = nal_units(frame)
    if aggregate:
        small = [unit for unit in units if len(unit) < 200]
        units = [unit for unit in units if len(unit) >= 200]
        yield b"\x78" + b"".join(len(unit).to_bytes(2) + unit for unit in small)
    for unit in units:
        if len(unit) <= MAX_PAYLOAD_SIZE_BYTES:
            yield unit
            continue
        fragments = [unit[at : at + MAX_PAYLOAD_SIZE_BYTES] for at in range(1, len(unit), MAX_PAYLOAD_SIZE_BYTES)]
        for index, fragment in enumerate(fragments):
            start_end_bits = (0x80 if index == 0 else 0) | (0x40 if index == len(fragments) - 1 else 0)
            yield bytes([unit[0] & 0xE0 | 28, start_end_bits | unit[0] & 0x1F]) + fragment


def vp8_payloads(frame: bytes, *, descriptor: bytes = b"\x90\x80\x81\x23") -> Iterator[bytes]:
    """Yield RTP payloads (RFC 7741). `descriptor` is the payload descriptor; its S bit is set as needed."""
    for at in range(0, len(frame), MAX_PAYLOAD_SIZE_BYTES):
        first = descriptor[0] | 0x10 if at == 0 else descriptor[0] & ~0x10
        yield bytes([first]) + descriptor[1:] + frame[at : at + MAX_PAYLOAD_SIZE_BYTES]

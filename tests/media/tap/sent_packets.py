"""What publishers send, for tests of taps: encoded frames as RTP packets, and sender reports."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.codecs.h264_packetizer import packetize, packetize_together
from stagebook.media.tap.packet_order import MediaPacket
from tests.media.rtc import encoded


@cache
def h264_frames(frames: int = 12, width: int = 320, height: int = 240) -> tuple[bytes, ...]:
    """Frames of x264 in Annex B, a keyframe first."""
    return tuple(encoded.h264(frames=frames, width=width, height=height))


@cache
def vp8_frames(frames: int = 12, width: int = 320, height: int = 240) -> tuple[bytes, ...]:
    """Frames of libvpx, a keyframe first."""
    return tuple(encoded.vp8(frames=frames, width=width, height=height))


def payloads_of(codec: Codec, frame: bytes) -> list[bytes]:
    """The payloads of a frame: H.264 as Stagebook's packetizer writes them, with the parameter sets in a STAP-A."""
    if codec is Codec.VP8:
        return list(encoded.vp8_payloads(frame))
    units = encoded.nal_units(frame)
    small = [unit for unit in units if unit[0] & 0x1F in (6, 7, 8)]
    rest = [unit for unit in units if unit not in small]
    return [*packetize_together(small), *(payload for unit in rest for payload in packetize(unit))]


def media_packets(
    codec: Codec, frames: Sequence[bytes], *, timestamp: int = 0, marker: bool = True
) -> Iterator[MediaPacket]:
    """The packets of frames at 30 frames a second."""
    for at, frame in zip(count(timestamp, 3000), frames, strict=False):
        payloads = payloads_of(codec, frame)
        for index, payload in enumerate(payloads, 1):
            yield MediaPacket(at & 0xFFFFFFFF, int(marker and index == len(payloads)), payload)


def normalised(frame: bytes) -> bytes:
    """A frame in Annex B with start codes of four bytes."""
    return b"".join(b"\0\0\0\1" + unit for unit in encoded.nal_units(frame))

"""What makes frames of the payloads of one RTP stream: one class for each codec."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from stagebook.media.tap.packet_order import MediaPacket

MAX_FRAME_BYTES: Final = 2 << 20
"""A larger frame is dropped. At 8.5 Mbit/s, a frame of this size would take two seconds."""


class BuiltFrame(NamedTuple):
    """One complete frame."""

    timestamp: int
    """As its packets had it."""
    body: bytes
    is_keyframe: bool
    height: int
    """Of the picture, in pixels; 0 for audio, and if it is unknown."""
    form: bytes
    """Changes when a decoder has to be set up anew: the SPS of H.264, the size of VP8."""
    width: int = 0
    """As `height`."""


def audio_frame(timestamp: int, payload: bytes) -> BuiltFrame:
    """An audio packet as a frame."""
    return BuiltFrame(timestamp, payload, is_keyframe=True, height=0, form=b"")


class FrameBuilder(Protocol):
    """Makes frames of packets that come in order."""

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether nothing is handed on before a keyframe: at the start, and after a loss."""

    @property
    def is_building(self) -> bool:
        """Whether a frame has begun. While it waits for a keyframe, this is one."""

    def add(self, packet: MediaPacket) -> Sequence[BuiltFrame]:
        """Take the next packet, and return the frames that are complete now. Never raises: a malformed payload is a
        loss."""

    def lose(self) -> None:
        """Packets are missing before the next one."""


class OpusBuilder:
    """Opus: each packet is a frame of its own (RFC 7587 section 4.2)."""

    waits_for_keyframe = False
    is_building = False

    def add(self, packet: MediaPacket) -> Sequence[BuiltFrame]:
        """Return the packet. One without payload only probes the bandwidth."""
        return (audio_frame(packet.timestamp, packet.payload),) if packet.payload else ()

    def lose(self) -> None:
        """Nothing depends on the packets before."""

"""The pictures of a video stream since its last keyframe: what a viewer needs to begin without a new one.

An encoder that came by RTMP cannot be asked for a keyframe. Knows payloads only; no RTP number and no viewer.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_GROUP_BYTES: Final = 8 << 20
"""Two seconds of 32 Mbit/s, eight of 8.5 Mbit/s."""
MAX_GROUP_PACKETS: Final = 8192
MAX_GROUP_PICTURES: Final = 1024
"""34 seconds at 30 a second. A viewer has to decode all of them before it sees the present."""


class GopPacket(NamedTuple):
    """One packet of a group."""

    payload: bytes
    marker: int
    """1 for the last packet of a picture (RFC 6184 section 5.1)."""
    picture: int
    """The picture's number in its group, from 0."""


class Gop:
    """A keyframe and the pictures after it, in decoding order. It only grows, always by whole pictures."""

    def __init__(self) -> None:
        self.packets: list[GopPacket] = []
        self.pictures = 0
        self.size_bytes = 0

    def add(self, payloads: Sequence[bytes]) -> bool:
        """Add a picture. False if it is beyond the bounds, and then nothing is added."""
        size_bytes = self.size_bytes + sum(len(payload) for payload in payloads)
        packets = len(self.packets) + len(payloads)
        if size_bytes > MAX_GROUP_BYTES or packets > MAX_GROUP_PACKETS or self.pictures == MAX_GROUP_PICTURES:
            return False
        last = len(payloads) - 1
        self.packets += [
            GopPacket(payload, int(number == last), self.pictures) for number, payload in enumerate(payloads)
        ]
        self.pictures += 1
        self.size_bytes = size_bytes
        return True


class GopCache:
    """Keeps the current group of a stream."""

    def __init__(self) -> None:
        self.current: Gop | None = None
        """None before the first keyframe, and after a group has grown beyond the bounds until the next."""

    def add(self, payloads: Sequence[bytes], *, is_keyframe: bool) -> None:
        """Take the next picture of the stream."""
        if is_keyframe:
            self.current = Gop()
        if self.current is not None and not self.current.add(payloads):
            self.current = None

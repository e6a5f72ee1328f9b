"""The current GOP of a video stream: the last keyframe and all frames after it, as RTP payloads.

A decoder can start only at a keyframe, and an encoder that sends RTMP cannot be asked for one. The cache therefore
keeps the whole GOP, so that a new viewer can be sent it at any time (`gop_replay`). Its size is limited: an encoder
that sends keyframes too rarely has no cached GOP, and new viewers wait for its next keyframe.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

MAX_GOP_BYTES: Final = 8 << 20
"""Two seconds at 32 Mbit/s, eight at 8.5 Mbit/s."""
MAX_GOP_PACKETS: Final = 8192
MAX_GOP_FRAMES: Final = 1024
"""34 seconds at 30 frames a second. A new viewer has to decode all of them before it shows the current frame."""


class GopPacket(NamedTuple):
    """One RTP payload of a GOP."""

    payload: bytes
    marker: int
    """1 for the last packet of a frame (RFC 6184 section 5.1)."""
    frame: int
    """The index of its frame in the GOP, from 0."""


class TimedFrame(NamedTuple):
    """One frame of a GOP."""

    timestamp: int
    payloads: tuple[bytes, ...]


class Gop:
    """A keyframe and the frames after it, in decoding order. It only grows, by whole frames."""

    def __init__(self) -> None:
        self.packets: list[GopPacket] = []
        self.timestamps: list[int] = []
        """Of the frames, on the encoder's clock."""
        self.frames = 0
        self.size_bytes = 0
        self.keyframe_bytes = self.keyframe_packets = 0
        """The size of the first frame, and the number of its packets."""

    def add(self, payloads: Sequence[bytes], timestamp: int = 0) -> bool:
        """Append a frame, given as its RTP payloads, with its timestamp on the encoder's clock.

        False, and nothing is appended, if the GOP would exceed MAX_GOP_BYTES, MAX_GOP_PACKETS or MAX_GOP_FRAMES."""
        size_bytes = self.size_bytes + sum(len(payload) for payload in payloads)
        packets = len(self.packets) + len(payloads)
        if size_bytes > MAX_GOP_BYTES or packets > MAX_GOP_PACKETS or self.frames == MAX_GOP_FRAMES:
            return False
        last = len(payloads) - 1
        self.packets += [GopPacket(payload, int(index == last), self.frames) for index, payload in enumerate(payloads)]
        self.timestamps.append(timestamp)
        self.frames += 1
        self.size_bytes = size_bytes
        if self.frames == 1:
            self.keyframe_bytes, self.keyframe_packets = size_bytes, packets
        return True

    def timed_frames(self) -> list[TimedFrame]:
        """The frames, each with its timestamp and its RTP payloads."""
        return [
            TimedFrame(self.timestamps[index], tuple(packet.payload for packet in packets))
            for index, packets in groupby(self.packets, key=lambda packet: packet.frame)
        ]


class GopCache:
    """Keeps the current GOP of a stream."""

    def __init__(self) -> None:
        self.current: Gop | None = None
        """None before the first keyframe, and from the frame that exceeds a limit until the next keyframe."""

    def add(self, payloads: Sequence[bytes], *, is_keyframe: bool, timestamp: int = 0) -> None:
        """Append the stream's next frame. A keyframe starts a new GOP; the former object stays as it is, because
        replays may still be sending from it."""
        if is_keyframe:
            self.current = Gop()
        if self.current is not None and not self.current.add(payloads, timestamp):
            self.current = None

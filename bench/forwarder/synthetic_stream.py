"""A synthetic stream of RTP packets: H.264 at 720p, 30 frames/s and 1.5 or 2.5 Mbit/s, and Opus.

The RTP and H.264 headers are valid (RFC 6184: STAP-A for the parameter sets, FU-A for slices); the slice data is not. A
forwarder and a recorder read the headers and copy the rest, so their cost does not depend on the slice data. A recorder
decodes the audio, which is then given.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import cycle

import msgspec

FRAMES_PER_SECOND = 30
AUDIO_INTERVAL_SECONDS = 0.02
VIDEO_PAYLOAD_TYPE = 102
AUDIO_PAYLOAD_TYPE = 111
WIDTH, HEIGHT = 1280, 720
PACKET_INTERVAL_SECONDS = 0.002
"""Interval of the packets of a frame. Like a browser's pacer, it sends at 2.5 times the bitrate of the stream."""

_GROUP_FRAMES = 60
_KEYFRAME_FRAGMENTS = 22
_FRAME_FRAGMENTS = 6
LARGE_FRAME_FRAGMENTS = 10
"""Of the frames of a stream of 2.5 Mbit/s."""
_FRAGMENT_SIZE_BYTES = 995
_OPUS_SIZE_BYTES = 80
_VIDEO_TICKS = 90_000 // FRAMES_PER_SECOND
_AUDIO_TICKS = round(48_000 * AUDIO_INTERVAL_SECONDS)

# An SPS of Constrained Baseline, level 3.1, 80 x 45 macroblocks (ITU-T H.264, 7.3.2.1.1), and a PPS with defaults.
_SPS = bytes.fromhex("6742e01fda014016e4")
_PPS = bytes.fromhex("68ce3c80")
_STAP_A = bytes([0x78]) + b"".join(struct.pack("!H", len(unit)) + unit for unit in (_SPS, _PPS))

_IDR = (0x7C, 5, 0x88)
_P = (0x5C, 1, 0x9A)
"""FU indicator, NAL unit type, and first byte of the slice header of a frame, for I and P (RFC 6184 section 5.8)."""
_FU_START, _FU_END = 0x80, 0x40

_HEADER = struct.Struct("!BBHII")
_VERSION = 0x80
_MARKER = 0x80


class RtpStream(msgspec.Struct, kw_only=True):
    """The counters of an RTP stream. `packets` and `payload_bytes` are the counts in sender reports."""

    payload_type: int
    ssrc: int
    sequence: int = 0
    timestamp: int = 0
    packets: int = 0
    payload_bytes: int = 0

    def packet(self, payload: bytes, *, marker: bool) -> bytes:
        """Return the next packet and advance the counters."""
        second = self.payload_type | (_MARKER if marker else 0)
        header = _HEADER.pack(_VERSION, second, self.sequence, self.timestamp, self.ssrc)
        self.sequence = self.sequence + 1 & 0xFFFF
        self.packets += 1
        self.payload_bytes += len(payload)
        return header + payload


class SyntheticVideo:
    """Video frames with a keyframe every two seconds, or earlier on request."""

    def __init__(self, *, ssrc: int, fragments: int = _FRAME_FRAGMENTS) -> None:
        """`fragments` is the number of packets of a frame that is no keyframe."""
        self.stream = RtpStream(payload_type=VIDEO_PAYLOAD_TYPE, ssrc=ssrc)
        self._fragments = fragments
        self._position = 0

    def request_keyframe(self) -> None:
        """Make the next frame a keyframe."""
        self._position = 0

    def next_frame(self) -> list[bytes]:
        """Return the packets of the next frame."""
        keyframe = self._position == 0
        self._position = (self._position + 1) % _GROUP_FRAMES
        payloads = list(_keyframe() if keyframe else _fragments(_P, self._fragments))
        packets = [
            self.stream.packet(payload, marker=number == len(payloads)) for number, payload in enumerate(payloads, 1)
        ]
        self.stream.timestamp = self.stream.timestamp + _VIDEO_TICKS & 0xFFFFFFFF
        return packets


class SyntheticAudio:
    """Opus frames of 20 ms."""

    def __init__(self, *, ssrc: int, packets: Sequence[bytes] = (bytes(_OPUS_SIZE_BYTES),)) -> None:
        """`packets` are sent again and again."""
        self.stream = RtpStream(payload_type=AUDIO_PAYLOAD_TYPE, ssrc=ssrc)
        self._packets = cycle(packets)

    def next_frame(self) -> bytes:
        """Return the next packet."""
        packet = self.stream.packet(next(self._packets), marker=False)
        self.stream.timestamp = self.stream.timestamp + _AUDIO_TICKS & 0xFFFFFFFF
        return packet


def _keyframe() -> Iterator[bytes]:
    yield _STAP_A
    yield from _fragments(_IDR, _KEYFRAME_FRAGMENTS)


def _fragments(frame: tuple[int, int, int], count: int) -> Iterator[bytes]:
    """Yield a slice in `count` FU-A packets."""
    indicator, kind, slice_start = frame
    for number in range(count):
        edge = (_FU_START if number == 0 else 0) | (_FU_END if number == count - 1 else 0)
        yield bytes([indicator, edge | kind, slice_start]).ljust(_FRAGMENT_SIZE_BYTES, b"\x55")

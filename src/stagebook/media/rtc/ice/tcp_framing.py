"""Frames of media over TCP: each packet after its length in two bytes (RFC 4571 section 2, RFC 6544 section 3).

STUN, DTLS, SRTP and SRTCP packets are all sent so. A length of zero is a null packet, which receivers ignore. The
length may be up to 65,535, but no packet of WebRTC is larger than a datagram. A larger frame is therefore no media: the
stream is another protocol, or the peer wants to fill the memory.
"""

from collections.abc import Sequence

from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

LENGTH_SIZE_BYTES = 2
LENGTHS = tuple(size.to_bytes(LENGTH_SIZE_BYTES) for size in range(MAX_PACKET_SIZE_BYTES + 1))
"""The length in two bytes, by the size of the packet."""


class FrameTooLargeError(Exception):
    """A frame is longer than MAX_PACKET_SIZE_BYTES. The stream cannot be read any further."""


class FrameReader:
    """Splits the bytes of a TCP connection into packets. It holds less than one frame."""

    def __init__(self) -> None:
        self._rest = b""
        self.null_packets = 0
        """The null packets of the last call of `feed`. They cost work like the others."""

    @property
    def rest(self) -> bytes:
        """The bytes of the frame that has not ended yet."""
        return self._rest

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the packets that they complete. Null packets are left out.

        Raises FrameTooLargeError; the packets before the frame that is too large are lost.
        """
        buffer = self._rest + data if self._rest else data
        self.null_packets = 0
        packets: list[bytes] = []
        position, end = 0, len(buffer)
        while end - position >= LENGTH_SIZE_BYTES:
            size = buffer[position] << 8 | buffer[position + 1]
            if size > MAX_PACKET_SIZE_BYTES:
                raise FrameTooLargeError
            following = position + LENGTH_SIZE_BYTES + size
            if following > end:
                break
            if size:
                packets.append(buffer[position + LENGTH_SIZE_BYTES : following])
            else:
                self.null_packets += 1
            position = following
        self._rest = buffer[position:]
        return packets


def write_frames(packets: Sequence[memoryview | bytes]) -> bytes:
    """Return the frames of packets of at most MAX_PACKET_SIZE_BYTES each, one after another."""
    return b"".join(part for packet in packets for part in (LENGTHS[len(packet)], packet))

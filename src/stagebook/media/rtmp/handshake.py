"""The RTMP handshake, as a server does it: the simple one (RTMP 1.0 section 5.2). Knows nothing of what follows it.

A client that begins the undocumented "complex" handshake, with a digest inside C1, is answered the simple way: a zero
version in S1 tells it so, and the encoders that begin so (librtmp, OBS, GStreamer, ffmpeg) go on with it.
"""

from typing import Final

from stagebook.media.rtmp.rtmp_limits import RtmpError

VERSION: Final = 3
PACKET_BYTES: Final = 1536
"""The size of C1, S1, C2 and S2."""

# Time zero, four zero bytes, and 1528 bytes that "can contain any values" (section 5.2.3): they prove nothing.
_S1 = bytes(8) + bytes(range(1, 192)) * 8


class ServerHandshake:
    """Takes C0, C1 and C2 in, in any pieces, and gives S0, S1 and S2 out."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._is_answered = False

    def receive(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take the peer's next bytes; return what is to be sent, and what follows the handshake: None until C2 is
        complete. Raises RtmpError for a version other than 3.

        C2 is taken whatever it says, as every server does: it only repeats what went over the same connection.
        """
        received = self._received
        received += data
        if received and received[0] != VERSION:
            raise RtmpError(f"the first byte of an RTMP connection is its version, {VERSION}, not {received[0]}")
        answer = b""
        if not self._is_answered and len(received) > PACKET_BYTES:
            self._is_answered = True
            answer = bytes([VERSION]) + _S1 + bytes(received[1 : 1 + PACKET_BYTES])
        if len(received) < 1 + 2 * PACKET_BYTES:
            return answer, None
        rest = bytes(received[1 + 2 * PACKET_BYTES :])
        received.clear()
        return answer, rest

"""The server's side of the RTMP handshake (section 5.2).

    client                        server
      | -- C0 (version), C1 ------> |      C1 and S1: time, zero, 1528 arbitrary bytes
      | <- S0 (version), S1, S2 --- |      S2: a copy of C1
      | -- C2 --------------------> |      C2: a copy of S1
      | == chunk stream ==========> |

Some clients begin an undocumented "complex" handshake with a digest inside C1. The zero field of S1 tells them that the
server does not support it, and encoders (librtmp, OBS, GStreamer, ffmpeg) continue with the simple handshake.
"""

from typing import Final

from stagebook.media.rtmp.rtmp_error import RtmpError

VERSION: Final = 3
PACKET_BYTES: Final = 1536
"""The size of C1, S1, C2 and S2 (sections 5.2.3 and 5.2.4)."""

# Time 0, the zero field, and 1528 arbitrary bytes. They need not be random, because C2 is not checked.
_S1 = bytes(8) + bytes(range(1, 192)) * 8


class ServerHandshake:
    """Receives C0, C1 and C2, and produces S0, S1 and S2."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._is_answered = False

    def receive(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Process received bytes, in pieces of any size.

        Returns the bytes to send and the bytes that follow the handshake; the latter is None until C2 is complete.
        Raises RtmpError for a version other than 3. C2 is not compared with S1: that would only prove that both came
        over the same connection.
        """
        received = self._received
        received += data
        if received and received[0] != VERSION:
            raise RtmpError(
                f"the first byte of the connection is the RTMP version; it must be {VERSION}, not {received[0]}"
            )
        answer = b""
        # S0 to S2 are sent together when C1 is complete. ffmpeg and librtmp send C0 and C1 together, and C2 only after
        # S2, so waiting for C2 would be a deadlock (section 5.2.1).
        if not self._is_answered and len(received) > PACKET_BYTES:
            self._is_answered = True
            answer = bytes([VERSION]) + _S1 + bytes(received[1 : 1 + PACKET_BYTES])
        if len(received) < 1 + 2 * PACKET_BYTES:
            return answer, None
        rest = bytes(received[1 + 2 * PACKET_BYTES :])
        received.clear()
        return answer, rest

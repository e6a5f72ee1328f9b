"""A WebRTC publisher of one color, without sound, whose place in a composed picture is seen at a glance."""

import asyncio
import fractions
import time

from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamTrack
from av import VideoFrame

from tests.clients.stage_client import new_peer_connection, offer, token_payload, wait_connected

_FRAMES_PER_SECOND = 15


class PlainColor(MediaStreamTrack):
    """A live video track of 320x180 in one color, given as Y, Cb and Cr."""

    kind = "video"

    def __init__(self, color: tuple[int, int, int]) -> None:
        super().__init__()
        self._color = color
        self._number = 0
        self._started = time.monotonic()

    async def recv(self) -> VideoFrame:
        """Return the next frame when it is due."""
        due_seconds = self._started + self._number / _FRAMES_PER_SECOND
        await asyncio.sleep(max(0.0, due_seconds - time.monotonic()))
        frame = VideoFrame(320, 180, "yuv420p")
        for plane, value in zip(frame.planes, self._color, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, self._number = self._number * 90_000 // _FRAMES_PER_SECOND, self._number + 1
        frame.time_base = fractions.Fraction(1, 90_000)
        return frame


class ColorPublisher:
    """Publishes one color until `stop`."""

    def __init__(self, token: str, color: tuple[int, int, int]) -> None:
        self.token = token
        self.connection: RTCPeerConnection = new_peer_connection()
        self._track = PlainColor(color)

    async def start(self) -> None:
        """Return when media is connected."""
        self.connection.addTransceiver(self._track, direction="sendrecv")
        await offer(self.connection, token_payload(self.token)["whip_url"], self.token)
        await wait_connected(self.connection)

    async def stop(self) -> None:
        """Close the peer connection, without a DELETE request."""
        await self.connection.close()

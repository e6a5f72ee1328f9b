"""A viewer: watches one publisher and knows what it saw and heard."""

import asyncio
import contextlib

import httpx
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import Observer
from tests.clients.stage_client import TIMEOUT_SECONDS, new_peer_connection, offer, token_payload, wait_connected


class Viewer:
    """Watches one publisher."""

    def __init__(self, token: str, *, publisher_id: str) -> None:
        self.token = token
        self.connection: RTCPeerConnection = new_peer_connection()
        self.observer = Observer()
        self._url = f"{token_payload(token)['whip_url']}/subscribe/{publisher_id}"
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> httpx.Response:
        """Subscribe; return the response to the offer once media is connected. Raises OfferRefusedError."""
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on("track", self._watch)
        response = await offer(self.connection, self._url, self.token)
        await wait_connected(self.connection)
        return response

    async def wait_until_satisfied(self) -> None:
        """Wait until pictures that move and the tone have arrived."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._news:
            await self._news.wait_for(lambda: self.observer.satisfied)

    async def wait_until_satisfied_anew(self) -> None:
        """Forget what was seen and heard, and wait until pictures that move and the tone have arrived again."""
        self.observer = Observer()
        await self.wait_until_satisfied()

    async def wait_for_more_pictures(self, count: int = 15) -> None:
        """Wait until so many more pictures were decoded than by now."""
        wanted = self.observer.pictures + count
        async with asyncio.timeout(TIMEOUT_SECONDS), self._news:
            await self._news.wait_for(lambda: self.observer.pictures >= wanted)

    async def stop(self) -> None:
        """Close the peer connection, without a DELETE."""
        await self.connection.close()

    def _watch(self, track: MediaStreamTrack) -> None:
        task = asyncio.ensure_future(self._observe(track))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _observe(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self.observer.see(frame)
                elif isinstance(frame, AudioFrame):
                    self.observer.hear(frame)
                async with self._news:
                    self._news.notify_all()

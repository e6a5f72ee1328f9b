"""A WebRTC viewer that observes the received media."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import MediaObserver
from tests.clients.stage_client import TIMEOUT_SECONDS, new_peer_connection, offer, token_payload, wait_connected


class Viewer:
    """Subscribes to a publisher. `observer` observes the received video and audio."""

    def __init__(self, token: str, *, publisher_id: str) -> None:
        self.token = token
        self.connection: RTCPeerConnection = new_peer_connection()
        self.observer = MediaObserver()
        self._url = f"{token_payload(token)['whip_url']}/subscribe/{publisher_id}"
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> httpx.Response:
        """Subscribe; return the response to the offer when media is connected. Raises OfferRefusedError."""
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on("track", self._on_track)
        response = await offer(self.connection, self._url, self.token)
        await wait_connected(self.connection)
        return response

    async def wait_until(self, condition: Callable[[MediaObserver], bool]) -> None:
        """Wait until what has arrived meets a condition."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: condition(self.observer))

    async def wait_for_media(self) -> None:
        """Wait until the moving bar and the tone have arrived."""
        await self.wait_until(lambda observer: observer.is_complete)

    async def wait_for_new_media(self) -> None:
        """Reset the observer, then wait until the moving bar and the tone have arrived again."""
        self.observer = MediaObserver()
        await self.wait_for_media()

    async def wait_for_more_frames(self, count: int = 15) -> None:
        """Wait until `count` further video frames have been decoded."""
        target = self.observer.video_frames + count
        await self.wait_until(lambda observer: observer.video_frames >= target)

    async def stop(self) -> None:
        """Close the peer connection, without a DELETE request."""
        await self.connection.close()

    def _on_track(self, track: MediaStreamTrack) -> None:
        task = asyncio.ensure_future(self._observe(track))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _observe(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self.observer.observe_video(frame)
                elif isinstance(frame, AudioFrame):
                    self.observer.observe_audio(frame)
                async with self._changed:
                    self._changed.notify_all()

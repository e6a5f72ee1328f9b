"""A publisher and a viewer: aiortc peers that join a stage with nothing but a participant token.

They read the addresses from the token, as public clients do, offer over HTTP (WHIP, RFC 9725), and leave by DELETE.
"""

import asyncio
import contextlib
import time
from types import TracebackType
from urllib.parse import urljoin

import httpx
import jwt
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import MovingBar, Observer, Tone

CONNECT_TIMEOUT_SECONDS = 15.0


class JoinFailedError(Exception):
    """The server refused an offer, or media did not connect."""


class Peer:
    """One peer connection, from its offer to its DELETE. Use it as an async context manager."""

    def __init__(self, token: str, *, path: str = "") -> None:
        self.connection = RTCPeerConnection(
            # No STUN server: the server's own candidates are enough, and the demo stays on this machine.
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._token = token
        payload = jwt.decode(token, options={"verify_signature": False})
        self._url: str = payload["whip_url"] + path
        self._resource_url: str | None = None
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=CONNECT_TIMEOUT_SECONDS)

    async def join(self) -> None:
        """Offer, take the answer and wait until media can flow. Raises JoinFailedError."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        response = await self._http.post(
            self._url,
            content=self.connection.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        )
        if response.status_code != 201:
            raise JoinFailedError(f"POST {self._url} answered {response.status_code}: {response.text}")
        self._resource_url = urljoin(self._url, response.headers["location"])
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=response.text, type="answer"))
        await self._connected()

    async def leave(self) -> None:
        """End the connection in the book, then the peer connection itself."""
        try:
            if self._resource_url is not None:
                await self._http.delete(self._resource_url)
        finally:
            await self.connection.close()
            await self._http.aclose()

    async def __aenter__(self) -> "Peer":
        """Join."""
        try:
            await self.join()
        except BaseException:
            await self.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        await self.leave()

    async def _connected(self) -> None:
        settled = asyncio.Event()

        @self.connection.on("connectionstatechange")
        def note() -> None:
            if self.connection.connectionState in {"connected", "failed", "closed"}:
                settled.set()

        note()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), CONNECT_TIMEOUT_SECONDS)
        if self.connection.connectionState != "connected":
            raise JoinFailedError(f"media did not connect: {self.connection.connectionState}")


class Publisher(Peer):
    """Publishes the moving bar and the tone."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.connection.addTransceiver(Tone(), direction="sendrecv")
        self.connection.addTransceiver(MovingBar(), direction="sendrecv")


class Viewer(Peer):
    """Watches one publisher. `observer` knows what arrived, `first_picture_seconds` how long the first picture took;
    `arrived` is set once moving pictures and the tone have been there."""

    def __init__(self, token: str, *, publisher_id: str) -> None:
        super().__init__(token, path=f"/subscribe/{publisher_id}")
        self.observer = Observer()
        self.arrived = asyncio.Event()
        self.first_picture_seconds: float | None = None
        self._start_seconds = time.monotonic()
        self._watching: set[asyncio.Task[None]] = set()
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on("track", self._watch)

    def _watch(self, track: MediaStreamTrack) -> None:
        task = asyncio.ensure_future(self._observe(track))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _observe(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    if self.first_picture_seconds is None:
                        self.first_picture_seconds = time.monotonic() - self._start_seconds
                    self.observer.see(frame)
                elif isinstance(frame, AudioFrame):
                    self.observer.hear(frame)
                if self.observer.satisfied:
                    self.arrived.set()

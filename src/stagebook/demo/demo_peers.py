"""The publisher and the viewer of the demo: aiortc peers that join a stage with a participant token.

A peer reads the WHIP URL from the payload of its token, sends its SDP offer by HTTP POST and gets the answer (WHIP, RFC
9725), and leaves with a DELETE of the resource that the POST created.
"""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx
import jwt
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import MediaObserver, MovingBar, Tone

CONNECT_TIMEOUT_SECONDS = 15.0


class JoinFailedError(Exception):
    """The server refused the offer, or the media connection failed."""


class DemoPeer:
    """A peer connection, from its offer to its DELETE. Use it as an async context manager."""

    def __init__(self, token: str, *, path: str = "") -> None:
        self.connection = RTCPeerConnection(
            # No STUN server: the candidates of the server are sufficient.
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._token = token
        payload = jwt.decode(token, options={"verify_signature": False})
        self._url: str = payload["whip_url"] + path
        self._resource_url: str | None = None
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=CONNECT_TIMEOUT_SECONDS)

    async def join(self) -> None:
        """Send the offer, apply the answer and wait until media is connected. Raises JoinFailedError."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        response = await self._http.post(
            self._url,
            content=self.connection.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        )
        if response.status_code != 201:
            raise JoinFailedError(f"POST {self._url} returned {response.status_code}: {response.text}")
        self._resource_url = urljoin(self._url, response.headers["location"])
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=response.text, type="answer"))
        await self._connected()

    async def leave(self) -> None:
        """Delete the resource on the server, then close the peer connection."""
        try:
            if self._resource_url is not None:
                await self._http.delete(self._resource_url)
        finally:
            await self.connection.close()
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Join the stage."""
        try:
            await self.join()
        except BaseException:
            await self.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stage."""
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


class DemoPublisher(DemoPeer):
    """Publishes the moving bar, as H.264, which can be recorded, and the tone."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.connection.addTransceiver(Tone(), direction="sendrecv")
        video = self.connection.addTransceiver(MovingBar(), direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([each for each in codecs if each.mimeType == "video/H264"])


class DemoViewer(DemoPeer):
    """Subscribes to a publisher.

    `observer` observes the received media, and `media_arrived` is set once it is complete. `first_frame_seconds` is the
    time from the creation of the viewer to the first decoded video frame.
    """

    def __init__(self, token: str, *, publisher_id: str) -> None:
        super().__init__(token, path=f"/subscribe/{publisher_id}")
        self.observer = MediaObserver()
        self.media_arrived = asyncio.Event()
        self.first_frame_seconds: float | None = None
        self._start_seconds = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on("track", self._on_track)

    def _on_track(self, track: MediaStreamTrack) -> None:
        task = asyncio.ensure_future(self._observe(track))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _observe(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    if self.first_frame_seconds is None:
                        self.first_frame_seconds = time.monotonic() - self._start_seconds
                    self.observer.observe_video(frame)
                elif isinstance(frame, AudioFrame):
                    self.observer.observe_audio(frame)
                if self.observer.is_complete:
                    self.media_arrived.set()

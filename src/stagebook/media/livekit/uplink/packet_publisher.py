"""A publisher of encoded media by WHIP (RFC 9725), with aiortc: one connection to a LiveKit server.

aiortc sends encoded packets as they are. The connection is lost when its state says so, or when the server has sent no
receiver report for some seconds while media was sent: ICE's consent alone needs half a minute to find out (RFC 7675).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast
from urllib.parse import urljoin

import httpx
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.livekit_http import LiveKitCallError, call_livekit, is_livekit_path
from stagebook.media.livekit.uplink.packet_track import PacketTrack

CONNECT_TIMEOUT_SECONDS: Final = 10.0
REPORT_TIMEOUT_SECONDS: Final = 8.0
"""LiveKit reports about once a second. So a dead server is known within 12 s, with the interval of the checks."""
MAX_ANSWER_SIZE_BYTES: Final = 256 * 1_024
_DELETE_TIMEOUT_SECONDS: Final = 2.0
_CHECK_INTERVAL_SECONDS: Final = 2.0
_ENDED: Final = frozenset({"failed", "closed"})


class WhipFailedError(Exception):
    """The server did not accept the publisher, or the connection has ended. The message says why, for the log."""


class PacketPublisher:
    """One publisher, from `start` to `stop`."""

    def __init__(self, http: httpx.AsyncClient, *, url: str, token: str) -> None:
        """`url` is the WHIP endpoint, `token` the access token. The caller closes `http`."""
        self.tracks: Mapping[MediaKind, PacketTrack] = {kind: PacketTrack(kind) for kind in MediaKind}
        self._http = http
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._resource_url: str | None = None
        self._changed = asyncio.Event()
        configuration = RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self._connection = RTCPeerConnection(configuration)
        self._connection.on("connectionstatechange", self._changed.set)
        for kind, track in self.tracks.items():
            transceiver = self._connection.addTransceiver(track, direction="sendonly")
            if kind is MediaKind.VIDEO:
                offered = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences([each for each in offered if each.mimeType == "video/H264"])

    async def start(self) -> None:
        """Publish, and return when media is connected. Raises WhipFailedError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._exchange()
                while self._connection.connectionState != "connected":
                    self._require_open()
                    await self._next_change()
        except TimeoutError as error:
            raise WhipFailedError(f"it was not connected within {CONNECT_TIMEOUT_SECONDS:.0f} s") from error
        except LiveKitCallError as error:
            raise WhipFailedError(str(error)) from error

    async def wait_lost(self) -> None:
        """Wait until the connection is lost. Raises WhipFailedError, with the reason."""
        connected_at = datetime.now(UTC)
        while True:
            self._require_open()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._next_change(), _CHECK_INTERVAL_SECONDS)
            silent_seconds = (datetime.now(UTC) - await self._last_report(connected_at)).total_seconds()
            if silent_seconds > REPORT_TIMEOUT_SECONDS:
                raise WhipFailedError(f"LiveKit has sent no report for {silent_seconds:.0f} s")

    async def stop(self) -> None:
        """Delete the resource, and close the connection. A server that does not answer is not waited for long."""
        if self._resource_url is not None:
            with contextlib.suppress(LiveKitCallError):
                await call_livekit(
                    self._http,
                    "DELETE",
                    self._resource_url,
                    content=b"",
                    headers=self._headers,
                    timeout_seconds=_DELETE_TIMEOUT_SECONDS,
                    max_size_bytes=MAX_ANSWER_SIZE_BYTES,
                )
        for track in self.tracks.values():
            track.stop()
        await self._connection.close()

    async def _exchange(self) -> None:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        offer = self._connection.localDescription.sdp
        headers = {**self._headers, "Content-Type": "application/sdp"}
        response = await call_livekit(
            self._http,
            "POST",
            self._url,
            content=offer.encode(),
            headers=headers,
            timeout_seconds=CONNECT_TIMEOUT_SECONDS,
            max_size_bytes=MAX_ANSWER_SIZE_BYTES,
        )
        if response.status != httpx.codes.CREATED:
            raise WhipFailedError(f"LiveKit refused the offer: {response.status} {response.text[:200]}")
        location = response.headers.get("Location", "")
        if not is_livekit_path(location):
            raise WhipFailedError("LiveKit's answer has no resource of a WHIP session")
        self._resource_url = urljoin(self._url, location)
        answer = RTCSessionDescription(sdp=response.text, type="answer")
        try:
            await self._connection.setRemoteDescription(answer)
        except ValueError as error:
            raise WhipFailedError(f"LiveKit's answer cannot be used: {error}") from error

    def _require_open(self) -> None:
        if self._connection.connectionState in _ENDED:
            raise WhipFailedError("LiveKit closed the connection")

    async def _next_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _last_report(self, connected_at: datetime) -> datetime:
        """The time of the newest receiver report; before the first one, the time of the connection."""
        reports = await self._connection.getStats()
        times = [each.timestamp for each in reports.values() if each.type == "remote-inbound-rtp"]
        return max([connected_at, *(cast("datetime", each) for each in times)])

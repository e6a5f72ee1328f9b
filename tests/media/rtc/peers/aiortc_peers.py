"""aiortc publishers and viewers for an engine in the test's process."""

import asyncio
import contextlib

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import MediaObserver, MovingBar, Tone
from stagebook.media.codecs.codec_names import Codec
from tests.media.rtc.running_engine import RunningEngine, wait_until


class AiortcPeer:
    """An aiortc connection and its id at the engine."""

    def __init__(self, engine: RunningEngine, connection_id: str) -> None:
        self.engine = engine
        self.connection_id = connection_id
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))

    async def make_offer(self) -> str:
        """Make the offer, with all candidates."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take_answer(self, sdp: str, *, port: int | None = None) -> None:
        """Apply the engine's answer. With `port`, the engine is reached by that port, which is a relay's."""
        if port is not None:
            sdp = sdp.replace(f" {self.engine.forwarder.udp_port} typ host", f" {port} typ host")
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))

    async def leave(self) -> None:
        """Close the connection with close_notify, as a browser does."""
        await self.connection.close()

    async def drop_network(self) -> None:
        """Close the sockets without close_notify, as if the machine lost its network."""
        for transceiver in self.connection.getTransceivers():
            ice = transceiver.sender.transport.transport
            await ice._connection.close()


class AiortcPublisher(AiortcPeer):
    """Publishes a moving bar and a tone."""

    def __init__(self, engine: RunningEngine, connection_id: str, *, codec: Codec = Codec.VP8, **bar: int) -> None:
        super().__init__(engine, connection_id)
        self.connection.addTransceiver(Tone(), direction="sendonly")
        video = self.connection.addTransceiver(MovingBar(**bar), direction="sendonly")
        wanted = {f"video/{codec}".lower(), "video/rtx"}
        offered = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([known for known in offered if known.mimeType.lower() in wanted])

    async def publish(self, source_id: str = "source", *, port: int | None = None) -> None:
        """Publish, and apply the answer."""
        offer = await self.make_offer()
        answer = self.engine.forwarder.publish(connection_id=self.connection_id, source_id=source_id, offer=offer)
        await self.take_answer(answer.sdp, port=port)


class AiortcViewer(AiortcPeer):
    """Watches one source. `observer` examines the decoded frames."""

    def __init__(self, engine: RunningEngine, connection_id: str) -> None:
        super().__init__(engine, connection_id)
        self.observer = MediaObserver()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on("track", self._watch)

    async def subscribe(self, source_id: str = "source", *, port: int | None = None) -> None:
        """Subscribe, and apply the answer."""
        offer = await self.make_offer()
        answer = self.engine.forwarder.subscribe(connection_id=self.connection_id, source_id=source_id, offer=offer)
        await self.take_answer(answer.sdp, port=port)

    async def wait_for_media(self) -> None:
        """Wait until the moving bar and the tone have arrived after this call."""
        self.observer = MediaObserver()
        await wait_until(lambda: self.observer.is_complete, "the moving bar and the tone")

    async def wait_for_frames(self, count: int) -> None:
        """Wait for so many more video frames."""
        target = self.observer.video_frames + count
        await wait_until(lambda: self.observer.video_frames >= target, f"{count} frames")

    def _watch(self, track: MediaStreamTrack) -> None:
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

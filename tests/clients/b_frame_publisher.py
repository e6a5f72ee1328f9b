"""A WebRTC publisher of H.264 with B-frames, whose frames are sent in another order than they are shown."""

import asyncio
from collections import deque
from fractions import Fraction

import httpx
from aiortc import RTCRtpSender
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from stagebook.demo.generated_media import MovingBar, Tone
from tests.clients.publisher import Publisher
from tests.clients.stage_client import offer, wait_connected

FRAMES_PER_SECOND = 15


class BFrameBar(MediaStreamTrack):
    """A live video track of packets that are already encoded by x264, with two B-frames between other frames."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._bar = MovingBar(frames_per_second=FRAMES_PER_SECOND)
        self._ready: deque[Packet[VideoStream]] = deque()
        encoder = VideoCodecContext.create("libx264", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
        encoder.framerate = Fraction(FRAMES_PER_SECOND)
        encoder.time_base = Fraction(1, 90_000)
        encoder.options = {"preset": "ultrafast", "bf": "2", "b_strategy": "0", "g": "30"}
        self._encoder = encoder

    async def recv(self) -> "Packet[VideoStream]":
        """Return the next packet when its frame is due."""
        if self.readyState != "live":
            raise MediaStreamError
        while not self._ready:
            self._ready.extend(self._encoder.encode(await self._bar.recv()))
        await asyncio.sleep(0)
        return self._ready.popleft()


class BFramePublisher(Publisher):
    """Publishes a moving bar with B-frames and a tone."""

    async def start(self) -> httpx.Response:
        """Publish; return the response to the offer once media is connected. Raises OfferRefusedError."""
        self.connection.addTransceiver(Tone(), direction="sendonly")
        video = self.connection.addTransceiver(BFrameBar(), direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
        response = await offer(self.connection, self._whip_url, self.token)
        await wait_connected(self.connection)
        return response

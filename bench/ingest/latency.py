"""How long a keyframe takes from the encoder's hand to a viewer's picture.

The clip is black for a second and white for a second. The encoder's process says when it handed each keyframe to
libavformat; the viewer, by aiortc in this process, when its decoder gave out the first picture of another brightness.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.video.frame import VideoFrame

from bench.ingest.house import House, running_encoder

_NAME = "latency"
_MIDDLE_GREY = 128
_TIMEOUT_SECONDS = 90.0


class Stopwatch:
    """Pairs each keyframe that was sent with the picture that shows it, while none takes as long as a second."""

    def __init__(self, *, keyframes: int) -> None:
        self.taken_ms: list[float] = []
        self.done = asyncio.Event()
        self._keyframes = keyframes
        self._sent_ns = 0
        self._is_white: bool | None = None

    def sent(self, sent_ns: int) -> None:
        """A keyframe was sent at this time of the monotonic clock."""
        self._sent_ns = sent_ns

    def seen(self, frame: VideoFrame) -> None:
        """A picture was decoded."""
        is_white = bytes(frame.planes[0])[0] > _MIDDLE_GREY
        # The first picture ends a wait for the connection, not for the picture.
        if self._is_white is not None and is_white is not self._is_white:
            self.taken_ms.append((time.monotonic_ns() - self._sent_ns) / 1e6)
            if len(self.taken_ms) == self._keyframes:
                self.done.set()
        self._is_white = is_white


async def measure_latency(house: House, clip: Path, *, keyframes: int) -> list[float]:
    """Return the milliseconds that so many keyframes took. Raises TimeoutError."""
    stopwatch = Stopwatch(keyframes=keyframes)
    viewer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    async with running_encoder(house, _NAME, clip) as said:
        tasks = [asyncio.create_task(_hear(said, stopwatch.sent))]
        try:
            tasks.append(asyncio.create_task(_decode(await _watch(house, viewer), stopwatch)))
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await stopwatch.done.wait()
        finally:
            for task in tasks:
                task.cancel()
            await viewer.close()
    await house.media.end_source(source_id=_NAME)
    return stopwatch.taken_ms[:keyframes]


async def _hear(said: asyncio.StreamReader, note: Callable[[int], None]) -> None:
    while line := await said.readline():
        note(int(line))


async def _watch(house: House, viewer: RTCPeerConnection) -> MediaStreamTrack:
    viewer.addTransceiver("audio", direction="recvonly")
    video = viewer.addTransceiver("video", direction="recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    answer = await house.media.subscribe(connection_id="viewer", source_id=_NAME, offer=viewer.localDescription.sdp)
    await viewer.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp, type="answer"))
    return video.receiver.track


async def _decode(track: MediaStreamTrack, stopwatch: Stopwatch) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            assert isinstance(frame, VideoFrame)
            stopwatch.seen(frame)


def decoding_ms(clip: Path) -> list[float]:
    """Return what the decoder alone takes for each keyframe of the clip, in milliseconds: the floor of it all."""
    taken = []
    with av.open(str(clip), "r") as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        for packet in container.demux(video):
            start = time.perf_counter()
            frames = packet.decode()
            if packet.is_keyframe and frames:
                taken.append((time.perf_counter() - start) * 1_000)
    return taken

"""The latency of a keyframe, from the encoder to a decoded frame of a viewer.

The clip alternates between one second of black and one second of white. The encoder process reports when it passes each
keyframe to libavformat. The viewer (aiortc in this process) reports when it has decoded the first frame of the other
brightness. The difference is the latency; both clocks are the monotonic clock of the machine.
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

from bench.ingest.media_servers import MediaServers, running_encoder

_NAME = "latency"
_MIDDLE_GREY = 128
_TIMEOUT_SECONDS = 90.0


class LatencyMeter:
    """Pairs each sent keyframe with the first decoded frame of its brightness. Latencies must be below one second."""

    def __init__(self, *, keyframes: int) -> None:
        self.latencies_ms: list[float] = []
        self.done = asyncio.Event()
        self._keyframes = keyframes
        self._sent_ns = 0
        self._is_white: bool | None = None

    def on_sent(self, sent_ns: int) -> None:
        """Record that a keyframe was sent at this time of the monotonic clock."""
        self._sent_ns = sent_ns

    def on_decoded(self, frame: VideoFrame) -> None:
        """Record that a frame was decoded now."""
        is_white = bytes(frame.planes[0])[0] > _MIDDLE_GREY
        # The first frame is not counted: its delay contains the connection setup.
        if self._is_white is not None and is_white is not self._is_white:
            self.latencies_ms.append((time.monotonic_ns() - self._sent_ns) / 1e6)
            if len(self.latencies_ms) == self._keyframes:
                self.done.set()
        self._is_white = is_white


async def measure_latency(servers: MediaServers, clip: Path, *, keyframes: int) -> list[float]:
    """Return the latencies of `keyframes` keyframes in milliseconds. Raises TimeoutError."""
    meter = LatencyMeter(keyframes=keyframes)
    viewer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    async with running_encoder(servers, _NAME, clip) as output:
        tasks = [asyncio.create_task(_read_send_times(output, meter.on_sent))]
        try:
            tasks.append(asyncio.create_task(_decode(await _subscribe(servers, viewer), meter)))
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await meter.done.wait()
        finally:
            for task in tasks:
                task.cancel()
            await viewer.close()
    await servers.media.end_source(source_id=_NAME)
    return meter.latencies_ms[:keyframes]


async def _read_send_times(output: asyncio.StreamReader, on_sent: Callable[[int], None]) -> None:
    while line := await output.readline():
        on_sent(int(line))


async def _subscribe(servers: MediaServers, viewer: RTCPeerConnection) -> MediaStreamTrack:
    viewer.addTransceiver("audio", direction="recvonly")
    video = viewer.addTransceiver("video", direction="recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    answer = await servers.media.subscribe(connection_id="viewer", source_id=_NAME, offer=viewer.localDescription.sdp)
    await viewer.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp, type="answer"))
    return video.receiver.track


async def _decode(track: MediaStreamTrack, meter: LatencyMeter) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            assert isinstance(frame, VideoFrame)
            meter.on_decoded(frame)


def decoding_ms(clip: Path) -> list[float]:
    """Return the decoding time of each keyframe of the clip in milliseconds, which is a lower bound of the latency."""
    times_ms = []
    with av.open(str(clip), "r") as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        for packet in container.demux(video):
            start = time.perf_counter()
            frames = packet.decode()
            if packet.is_keyframe and frames:
                times_ms.append((time.perf_counter() - start) * 1_000)
    return times_ms

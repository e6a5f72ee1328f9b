"""A publisher and its viewers behind emulated networks, and the events that they must have in the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.clients.encoder import Encoder
from tests.e2e.participants.stage_handle import EventSummary, StageHandle
from tests.network.emulator.emulated_network import EmulatedNetwork
from tests.network.emulator.link_conditions import LinkConditions
from tests.network.emulator.link_counters import LinkReport
from tests.network.peers.network_participants import (
    NetworkParticipants,
    NetworkPublisher,
    NetworkViewer,
)
from tests.network.peers.pion_viewers import PionViewers, pion_viewers
from tests.network.statistics_log import StatisticsLog

Figures: TypeAlias = Callable[..., None]

LAYERS: list[dict[str, Any]] = [
    {"rid": "low", "scaleResolutionDownBy": 4, "maxBitrate": 150_000},
    {"rid": "middle", "scaleResolutionDownBy": 2, "maxBitrate": 500_000},
    {"rid": "high", "maxBitrate": 1_850_000},
]
"""2.5 Mbit/s in 640x360, 320x180 and 160x90. Real cameras send larger pictures at this rate; two cores encode these."""
ENCODER = (
    "ffmpeg -v error -re -f lavfi -i testsrc2=size=640x360:rate=20,noise=alls=30:allf=t -f lavfi -i sine=frequency=440"
    " -c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -g 20"
    ' -b:v 2500k -maxrate 2500k -bufsize 1250k -c:a aac -b:a 128k -f flv "$URL$KEY"'
)
"""2.5 Mbit/s with a keyframe every second."""
FULL_SHARE = 0.8
"""A publisher that has this share of its bit rate is at its top: encoders seldom reach their target."""


class Watched:
    """What a viewer has seen since `start`, in seconds of its log, and what its line was offered meanwhile."""

    def __init__(self, log: StatisticsLog, line: LinkReport, *, reported_at: float, start: float, end: float) -> None:
        """`reported_at` is the time of the report of the line in seconds of the log."""
        self.log = log
        self.line = line
        self.start = start
        self.end = end
        self._line_offset = line.seconds - reported_at

    def offered_bps(self, start: float, end: float) -> float:
        """The bit rate that its line was offered, in seconds of the log."""
        return self.line.offered_bps(start + self._line_offset, end + self._line_offset)

    def queue_seconds(self, start: float, end: float) -> float:
        """The longest wait in the queue of the line, in seconds of the log."""
        return self.line.max_queue_seconds(start + self._line_offset, end + self._line_offset)

    @property
    def concealed(self) -> float:
        """The share of concealed audio."""
        return self.log.concealed_share(self.start, self.end)

    @property
    def frames(self) -> float:
        """The number of decoded frames."""
        return self.grown("video", "framesDecoded")

    def grown(self, stream: str, name: str) -> float:
        """How much a counter has grown."""
        return self.log.grown(stream, name, self.start, self.end)

    def longest_gap(self, *, after: float = 0.0) -> float:
        """The longest time without a decoded frame, from `after` seconds after the start on."""
        return self.log.longest_gap("video", "framesDecoded", self.start + after, self.end)


class EncoderPublisher:
    """A publisher by RTMP, without a relay."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    async def close(self) -> None:
        """End the stream."""
        await self._encoder.stop()


class Scene:
    """One stage. Its participants join by the methods; `expect_events` checks what the book has of them."""

    def __init__(
        self,
        stage: StageHandle,
        network: EmulatedNetwork,
        *,
        publishers: NetworkParticipants,
        viewers: NetworkParticipants,
    ) -> None:
        """`publishers` and `viewers` open the pages of both, which may be of different browsers."""
        self.stage = stage
        self.network = network
        self._publishers = publishers
        self._opened_viewers = viewers
        self._publisher: NetworkPublisher | EncoderPublisher | None = None
        self._publisher_id = ""
        self._viewers: dict[str, NetworkViewer | None] = {}

    async def publish(
        self,
        *,
        codec: str = "VP8",
        encodings: list[dict[str, Any]] | None = None,
        to_server: LinkConditions | None = None,
        to_peer: LinkConditions | None = None,
        keep_tcp: bool = False,
        wait: bool = True,
    ) -> NetworkPublisher:
        """Publish at 2.5 Mbit/s, by default as one stream. With `wait`, return when the whole rate is sent."""
        self._publisher_id, token = await self.stage.token()
        # On a busy machine a browser would stop its large layers, which no viewer's line is to blame for.
        is_steady = encodings is not None and len(encodings) > 1
        publisher = self._publisher = await self._publishers.publisher(token, is_steady=is_steady)
        await publisher.prepare(codec=codec, encodings=encodings)
        await publisher.connect(self.network, to_server=to_server, to_peer=to_peer, seed=1, keep_tcp=keep_tcp)
        if wait:
            top = "video" if encodings is None else f"video.{encodings[-1]['rid']}"
            wanted = FULL_SHARE * (2_500_000 if encodings is None else encodings[-1]["maxBitrate"])
            await publisher.wait_for_log(
                "(sample, [top, wanted]) => sample[top]?.targetBitrate >= wanted", [top, wanted]
            )
        return publisher

    @contextlib.asynccontextmanager
    async def encoder(self) -> AsyncIterator[None]:
        """Publish at 2.5 Mbit/s by RTMP, with a keyframe every second, at most as long as the context."""
        created = await self.stage.call("create_ingest_configuration", ingestProtocol="RTMPS", insecureIngest=True)
        configuration = created["ingestConfiguration"]
        found = await asyncio.to_thread(self.stage.ivs.get_stage, arn=self.stage.arn)
        variables = {"URL": found["stage"]["endpoints"]["rtmp"], "KEY": configuration["streamKey"]}
        self._publisher_id = configuration["participantId"]
        self._publisher = EncoderPublisher(await Encoder.start(ENCODER, variables=variables))
        try:
            await self.stage.expect_events(self._publisher_id, "JOINED", "PUBLISH_STARTED")
            yield
        finally:
            await self._publisher.close()

    async def watch(
        self,
        *,
        to_peer: LinkConditions | None = None,
        to_server: LinkConditions | None = None,
        keep_tcp: bool = False,
    ) -> NetworkViewer:
        """Watch through a relay."""
        viewer_id, token = await self.stage.token()
        viewer = self._viewers[viewer_id] = await self._opened_viewers.viewer(token)
        await viewer.prepare(self._publisher_id)
        await viewer.connect(self.network, to_server=to_server, to_peer=to_peer, seed=2, keep_tcp=keep_tcp)
        return viewer

    @contextlib.asynccontextmanager
    async def crowd(self, program: Path, count: int) -> AsyncIterator[PionViewers]:
        """Watch with pion, without a relay."""
        async with pion_viewers(program) as viewers:
            for _ in range(count):
                viewer_id, token = await self.stage.token()
                self._viewers[viewer_id] = None
                await viewers.watch(token, self._publisher_id)
            yield viewers

    async def seen(self, viewer: NetworkViewer, start: float, end: float) -> Watched:
        """What a viewer has seen between two times of its log."""
        line, reported_at = (await viewer.relay.report()).to_peer, await viewer.seconds()
        return Watched(await viewer.log(), line, reported_at=reported_at, start=start, end=end)

    async def expect_events(self, *, connected: bool = True) -> None:
        """Check the events of all participants: first while they are `connected`, then after they have left."""
        began: list[EventSummary] = ["JOINED", "PUBLISH_STARTED"]
        watched: list[EventSummary] = ["JOINED", ("SUBSCRIBE_STARTED", self._publisher_id)]
        if connected:
            await self.stage.expect_events(self._publisher_id, *began)
            for viewer_id, viewer in self._viewers.items():
                if viewer is not None:
                    await self.stage.expect_events(viewer_id, *watched)
                    await viewer.close()
        for viewer_id in self._viewers:
            await self.stage.expect_events(viewer_id, *watched, ("SUBSCRIBE_STOPPED", self._publisher_id), "LEFT")
        if connected:
            assert self._publisher is not None
            await self._publisher.close()
        await self.stage.expect_events(self._publisher_id, *began, "PUBLISH_STOPPED", "LEFT")

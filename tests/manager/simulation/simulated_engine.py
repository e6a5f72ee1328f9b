"""A media engine whose answers and reports the scheduler delivers: late, lost, twice, out of order.

It keeps what a real forwarder keeps: connections by id with their source, and which publication a source has. A newer
publisher of a source takes over when it connects.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    IngestAsked,
    IngestFailed,
    IngestFault,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
    VideoLayers,
)

REFUSALS = (
    RefusalReason.AUDIO_CODEC,
    RefusalReason.VIDEO_CODEC,
    RefusalReason.MALFORMED,
    RefusalReason.BUSY,
    RefusalReason.ENGINE_LOST,
)


@dataclass
class Request:
    """An offer or an encoder that waits for the engine."""

    kind: str
    connection_id: str
    source_id: str
    is_redundant: bool
    answered: asyncio.Future[None]


@dataclass
class EngineConnection:
    """A connection in the engine."""

    kind: str
    source_id: str
    is_redundant: bool
    is_connected: bool = False


@dataclass
class SimulatedEngine:
    """Implements media.port.MediaEngine."""

    chance: random.Random
    requests: list[Request] = field(default_factory=list)
    connections: dict[str, EngineConnection] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    reports: list[tuple[str, MediaFact]] = field(default_factory=list)
    """What is reported, with the source that it is about."""
    refused_encoders: int = 0
    admitted_encoders: int = 0
    _asked: int = 0
    _on_fact: Callable[[MediaFact], None] = lambda _fact: None

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._on_fact = on_fact

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish."""
        await self._ask("publish", connection_id, source_id)
        return Answer(sdp=offer, ice_session="ice")

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """As MediaEngine.subscribe."""
        del initial_layer
        await self._ask("subscribe", connection_id, source_id)
        return Answer(sdp=offer, ice_session="ice")

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """As MediaEngine.ingest."""
        del ask_id
        await self._ask("ingest", connection_id, source_id, is_redundant=is_redundant)
        self.admitted_encoders += 1

    async def _ask(self, kind: str, connection_id: str, source_id: str, *, is_redundant: bool = False) -> None:
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.requests.append(Request(kind, connection_id, source_id, is_redundant, answered))
        await answered

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        del ask_id, detail, is_wrong_key
        self.refused_encoders += 1

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch."""
        del connection_id, fragment, ice_session
        return PatchAnswer(fragment=None, ice_session="ice")

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """As MediaEngine.layers."""
        del connection_id
        return VideoLayers()

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """As MediaEngine.statistics: nothing is known."""
        del connection_ids
        return ()

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """As MediaEngine.select_layer."""
        del connection_id, choice

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        """As MediaEngine.close."""
        del detail, as_failure
        self.connections.pop(connection_id, None)

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """As MediaEngine.end_source."""
        del detail
        self.sources.discard(source_id)
        for connection_id, connection in tuple(self.connections.items()):
            if connection.source_id == source_id:
                del self.connections[connection_id]

    def answer(self) -> None:
        """Answer, refuse or lose one request, in any order."""
        if not self.requests:
            return
        request = self.requests.pop(self.chance.randrange(len(self.requests)))
        if request.answered.done():  # the client has gone
            return
        reason = self._refusal(request)
        if reason is not None:
            detail = f"simulated: {reason.value}"
            request.answered.set_exception(MediaRefusedError(reason=reason, detail=detail))
            return
        if request.kind != "subscribe":
            self.sources.add(request.source_id)
        self.connections[request.connection_id] = EngineConnection(
            request.kind, request.source_id, request.is_redundant
        )
        request.answered.set_result(None)
        if self.chance.random() < 0.03:
            # The connection ends before the server has seen the answer.
            del self.connections[request.connection_id]
            self._on_fact(Closed(connection_id=request.connection_id, cause=CloseCause.PEER_CLOSED))

    def _refusal(self, request: Request) -> RefusalReason | None:
        if request.kind == "subscribe" and request.source_id not in self.sources:
            return RefusalReason.UNKNOWN_SOURCE
        if self.chance.random() > 0.12:
            return None
        if request.kind == "ingest":
            return self.chance.choice((RefusalReason.UNKNOWN_CONNECTION, RefusalReason.BUSY, RefusalReason.ENGINE_LOST))
        return self.chance.choice(REFUSALS)

    def connect(self) -> None:
        """Let one transport connect: it is reported, sometimes twice. An older publisher of its source is replaced."""
        opening = [key for key, connection in self.connections.items() if not connection.is_connected]
        if not opening:
            return
        connection_id = self.chance.choice(opening)
        connection = self.connections[connection_id]
        connection.is_connected = True
        replaced = self._replace_older(connection_id) if connection.kind != "subscribe" else []
        self._report(connection.source_id, Connected(connection_id=connection_id))
        for older in replaced:
            self._report(connection.source_id, Closed(connection_id=older, cause=CloseCause.REPLACED))

    def _replace_older(self, connection_id: str) -> list[str]:
        """Remove the older publishers of a connection's source; return their ids."""
        connection = self.connections[connection_id]
        replaced = []
        for other_id, other in tuple(self.connections.items()):
            if other_id == connection_id or connection.is_redundant:
                break
            if other.source_id == connection.source_id and other.kind != "subscribe":
                del self.connections[other_id]
                replaced.append(other_id)
        return replaced

    def lose(self) -> None:
        """Let one connection end by itself."""
        if self.connections:
            connection_id = self.chance.choice(list(self.connections))
            connection = self.connections.pop(connection_id)
            if connection.kind == "ingest" and self.chance.random() < 0.5:
                fault = self.chance.choice(list(IngestFault))
                failed = IngestFailed(connection_id=connection_id, fault=fault, detail="simulated")
                self._report(connection.source_id, failed)
                return
            causes = [cause for cause in CloseCause if cause not in (CloseCause.ENGINE_LOST, CloseCause.REPLACED)]
            closed = Closed(connection_id=connection_id, cause=self.chance.choice(causes))
            self._report(connection.source_id, closed)

    def crash(self) -> None:
        """End the engine: all connections are lost, and what was asked is not answered any more."""
        for connection_id, connection in self.connections.items():
            closed = Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST)
            self.reports.append((connection.source_id, closed))
        self.connections.clear()
        self.sources.clear()
        for request in self.requests:
            if not request.answered.done():
                request.answered.set_exception(
                    MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="simulated: the engine is lost")
                )
        self.requests.clear()

    def measure(self) -> None:
        """Report one second of a publisher's media; some break a limit."""
        publishing = [key for key, each in self.connections.items() if each.is_connected and each.kind != "subscribe"]
        if publishing:
            connection_id = self.chance.choice(publishing)
            size = self.chance.choice([(640, 360), (640, 360), (4_000, 3_000)])
            rate = self.chance.choice([1_000_000, 50_000_000])
            for _ in range(self.chance.choice([1, 6])):
                source_id = self.connections[connection_id].source_id
                self._report(
                    source_id,
                    SourceMeasured(
                        source_id=source_id,
                        connection_id=connection_id,
                        bitrate_bps=rate,
                        width=size[0],
                        height=size[1],
                        has_b_frames=self.chance.random() < 0.1,
                    ),
                )

    def ask(self, stream_key: str, *, is_secure: bool) -> None:
        """Let an encoder ask to be admitted."""
        self._asked += 1
        asked = IngestAsked(
            ask_id=f"ask-{self._asked}", stream_key=stream_key, is_secure=is_secure, remote_address="192.0.2.7"
        )
        self._report(asked.ask_id, asked)

    def _report(self, source_id: str, fact: MediaFact) -> None:
        self.reports.append((source_id, fact))
        if isinstance(fact, Connected | Closed) and self.chance.random() < 0.1:
            self.reports.append((source_id, fact))

    def deliver(self) -> None:
        """Deliver one report; sometimes a later one first. The reports about one source keep their order, as they
        do on the control socket of its engine."""
        if self.reports:
            source_id = self.reports[0 if self.chance.random() < 0.8 else self.chance.randrange(len(self.reports))][0]
            index = next(index for index, report in enumerate(self.reports) if report[0] == source_id)
            self._on_fact(self.reports.pop(index)[1])

"""A media engine without media. A test decides when a peer connects, disconnects or breaks a limit, and when an encoder
asks to be admitted. The end-to-end tests use real peers."""

import asyncio
from collections.abc import Callable, Sequence

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


class ScriptedEngine:
    """Answers each offer with the offer itself and admits each encoder.

    `refuse` makes the next offer or admission fail. `hold` makes them wait; `held` is set when one waits. `connections`
    maps connection ids to source ids. `admitted` maps ask ids to connection ids, `refused` maps ask ids to the detail
    that the encoder received. `wrong_keys` are the ask ids that were refused for a wrong key, `redundant` the
    connections that feed a source beside others. `video_layers` are listed for every viewer.
    """

    def __init__(self) -> None:
        self.connections: dict[str, str] = {}
        self.ended_sources: list[str] = []
        self.closed: list[str] = []
        self.failed: list[str] = []
        self.asked = 0
        self.admitted: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.wrong_keys: set[str] = set()
        self.redundant: set[str] = set()
        self.refuse: RefusalReason | None = None
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()
        self.initial_layers: dict[str, InitialLayer | None] = {}
        self.video_layers = VideoLayers()
        self.selected: dict[str, str | None] = {}
        self.details: dict[str, str] = {}
        """The details that encoders received, by the id of the connection or source that was ended."""
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        self._on_fact = on_fact

    def report(self, fact: MediaFact) -> None:
        self._on_fact(fact)

    def connect(self, connection_id: str) -> None:
        self.report(Connected(connection_id=connection_id))

    def lose(self, connection_id: str, cause: CloseCause = CloseCause.CONSENT_LOST) -> None:
        self.report(Closed(connection_id=connection_id, cause=cause))

    def request_ingest(self, stream_key: str, *, is_secure: bool = True) -> str:
        """Report an encoder that asks to be admitted; return its ask id."""
        self.asked += 1
        ask_id = f"ask-{self.asked}"
        self.report(
            IngestAsked(ask_id=ask_id, stream_key=stream_key, is_secure=is_secure, remote_address="192.0.2.7:50000")
        )
        return ask_id

    def fail(self, connection_id: str, fault: IngestFault = IngestFault.INPUT) -> None:
        self.report(IngestFailed(connection_id=connection_id, fault=fault, detail=f"scripted: {fault.value}"))

    def measure(
        self,
        connection_id: str,
        *,
        bitrate_bps: int = 1_000_000,
        width: int = 640,
        height: int = 360,
        has_b_frames: bool = False,
    ) -> None:
        self.report(
            SourceMeasured(
                source_id=self.connections[connection_id],
                connection_id=connection_id,
                bitrate_bps=bitrate_bps,
                width=width,
                height=height,
                has_b_frames=has_b_frames,
            )
        )

    async def _open(self, connection_id: str, source_id: str) -> None:
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        if self.refuse is not None:
            reason, self.refuse = self.refuse, None
            raise MediaRefusedError(reason=reason, detail=f"scripted: {reason.value}")
        self.connections[connection_id] = source_id

    async def _answer(self, connection_id: str, source_id: str, offer: str) -> Answer:
        await self._open(connection_id, source_id)
        return Answer(sdp=offer, ice_session="ice-1")

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        return await self._answer(connection_id, source_id, offer)

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        self.initial_layers[connection_id] = initial_layer
        return await self._answer(connection_id, source_id, offer)

    async def layers(self, *, connection_id: str) -> VideoLayers:
        self._require_viewer(connection_id)
        return self.video_layers

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """As MediaEngine.statistics: nothing is known."""
        del connection_ids
        return ()

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        self._require_viewer(connection_id)
        if choice.encoding_id not in {None, *(each.encoding_id for each in self.video_layers.layers)}:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="scripted")
        self.selected[connection_id] = choice.encoding_id

    def _require_viewer(self, connection_id: str) -> None:
        if self.refuse is not None:
            reason, self.refuse = self.refuse, None
            raise MediaRefusedError(reason=reason, detail=f"scripted: {reason.value}")
        if connection_id not in self.connections:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="scripted")

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        await self._open(connection_id, source_id)
        self.admitted[ask_id] = connection_id
        if is_redundant:
            self.redundant.add(connection_id)

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        self.refused[ask_id] = detail
        if is_wrong_key:
            self.wrong_keys.add(ask_id)

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        if ice_session not in (None, "ice-1"):
            raise MediaRefusedError(reason=RefusalReason.ICE_SESSION_MISMATCH, detail="scripted")
        if connection_id not in self.connections:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="scripted")
        if not fragment:
            raise MediaRefusedError(reason=RefusalReason.MALFORMED, detail="scripted")
        return PatchAnswer(fragment=None, ice_session="ice-1")

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        self.closed.append(connection_id)
        self.details[connection_id] = detail
        if as_failure:
            self.failed.append(connection_id)

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        self.ended_sources.append(source_id)
        self.details[source_id] = detail

"""The MediaEngine of the server: the forwarding engine and the ingest pool as one engine.

The forwarding engine is the pool of engine processes, or LiveKit. WebRTC connections belong to it alone. An encoder's
connection has two halves: its RTMP connection in an
ingest process, and the feed that it writes to an engine process over the media bus. The router opens and closes both
halves together and reports the end of a connection once:

* The ingest pool reports how an encoder's connection ended. The router closes the feed.
* The forwarding engine reports the loss of an engine. The router closes the RTMP connections that fed it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    SERVER_FAULT,
    Answer,
    Closed,
    IngestAsked,
    IngestFailed,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    VideoLayers,
)


class ForwardingEngine(Protocol):
    """What forwards media: `EnginePool` or `LiveKitEngine`. The methods are those of MediaEngine, and feeds."""

    def listen(self, on_fact: Callable[[MediaFact], None], *, on_feed_lost: Callable[[str], None]) -> None: ...
    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer: ...
    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer: ...
    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket: ...
    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer: ...
    async def layers(self, *, connection_id: str) -> VideoLayers: ...
    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None: ...
    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]: ...
    def close(self, *, connection_id: str, as_failure: bool = False) -> None: ...
    def end_source(self, *, source_id: str) -> None: ...


class MediaRouter:
    """Implements `media.port.MediaEngine`. The owner of the two engines starts and stops them."""

    def __init__(self, engines: ForwardingEngine, ingest: IngestPool | None) -> None:
        """`ingest` is None if the server does not accept RTMP."""
        self._engines = engines
        self._ingest = ingest
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None
        self._source_of: dict[str, str] = {}
        """The source of each open connection of an encoder."""

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._on_fact = on_fact
        # The engines report to the listener directly. Only the loss of an encoder's engine concerns the router.
        self._engines.listen(on_fact, on_feed_lost=self._end_lost_encoder)
        if self._ingest is not None:
            self._ingest.listen(self._handle_ingest_fact)

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish."""
        return await self._engines.publish(connection_id=connection_id, source_id=source_id, offer=offer)

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """As MediaEngine.subscribe."""
        return await self._engines.subscribe(
            connection_id=connection_id, source_id=source_id, offer=offer, initial_layer=initial_layer
        )

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch."""
        return await self._engines.patch(connection_id=connection_id, fragment=fragment, ice_session=ice_session)

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """As MediaEngine.layers."""
        return await self._engines.layers(connection_id=connection_id)

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """As MediaEngine.select_layer."""
        await self._engines.select_layer(connection_id=connection_id, choice=choice)

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """As MediaEngine.ingest: open a feed on an engine, and let the encoder write its media to it."""
        if self._ingest is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="RTMP ingest is not enabled")
        self._source_of[connection_id] = source_id
        try:
            ticket = await self._engines.open_feed(
                connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
            )
            if connection_id not in self._source_of:
                # `close` or `end_source` was called while the feed was being opened.
                raise MediaRefusedError(
                    reason=RefusalReason.UNKNOWN_CONNECTION, detail="the connection was closed before it was accepted"
                )
            await self._ingest.admit(ask_id=ask_id, connection_id=connection_id, ticket=ticket)
        except BaseException:
            self._source_of.pop(connection_id, None)
            self._engines.close(connection_id=connection_id)
            raise

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        if self._ingest is not None:
            self._ingest.refuse(ask_id=ask_id, detail=detail, is_wrong_key=is_wrong_key)

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """As MediaEngine.statistics. Nothing is known of encoders' connections."""
        return await self._engines.statistics(connection_ids)

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        """As MediaEngine.close."""
        self._end_encoder(connection_id, detail)
        self._engines.close(connection_id=connection_id, as_failure=as_failure)

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """As MediaEngine.end_source."""
        for connection_id in [encoder for encoder, source in self._source_of.items() if source == source_id]:
            self._end_encoder(connection_id, detail)
        self._engines.end_source(source_id=source_id)

    def _end_encoder(self, connection_id: str, detail: str) -> None:
        """Close an encoder's RTMP connection; the encoder receives `detail`. No fact is reported.

        Ids of other connections are ignored.
        """
        if self._source_of.pop(connection_id, None) is not None and self._ingest is not None:
            self._ingest.close(connection_id=connection_id, detail=detail)

    def _end_lost_encoder(self, connection_id: str) -> None:
        """Close the RTMP connection of a feed whose engine is lost. The pool reports Closed after this."""
        self._end_encoder(connection_id, f"{SERVER_FAULT}: the media server lost the stream")

    def _handle_ingest_fact(self, fact: MediaFact) -> None:
        """Report a fact of an ingest process.

        At the end of an encoder's connection, close its feed first, so that no fact about it follows the end.
        """
        match fact:
            case Closed() | IngestFailed():
                if self._source_of.pop(fact.connection_id, None) is not None:
                    self._engines.close(connection_id=fact.connection_id)
                    self._on_fact(fact)
            case IngestAsked():
                self._on_fact(fact)

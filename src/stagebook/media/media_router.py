"""The one MediaEngine that the manager sees: the forwarders, and the process that takes encoders in for them.

Owns which connection is an encoder's. Its end is told once, by whichever process it came to: by the ingest process,
which alone knows how an encoder ended, or by the forwarders if the one that it fed is lost.
"""

import asyncio
from collections.abc import Callable

from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.port import (
    SERVER_FAULT,
    Answer,
    Closed,
    IngestAsked,
    IngestFailed,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
)
from stagebook.media.rtc.engine.engine_pool import EnginePool


class MediaRouter:
    """Implements media.port.MediaEngine. Starting and stopping what it connects is its owner's business."""

    def __init__(self, engines: EnginePool, ingest: IngestEngine | None) -> None:
        """`ingest` is None where encoders are not taken in."""
        self._engines = engines
        self._ingest = ingest
        self._hear: Callable[[MediaFact], None] = lambda _fact: None
        self._source_of: dict[str, str] = {}
        """Encoders' connections, also those that have ended, until the forwarders know nothing of them any more."""
        self._open: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._hear = hear
        self._engines.listen(self._hear_engines)
        if self._ingest is not None:
            self._ingest.listen(self._hear_ingest)

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish."""
        return await self._engines.publish(connection_id=connection_id, source_id=source_id, offer=offer)

    async def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.subscribe."""
        return await self._engines.subscribe(connection_id=connection_id, source_id=source_id, offer=offer)

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch."""
        return await self._engines.patch(connection_id=connection_id, fragment=fragment, ice_session=ice_session)

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """As MediaEngine.ingest: a forwarder opens a feed, and the encoder's media goes there."""
        if self._ingest is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="no encoders are taken in")
        self._source_of[connection_id] = source_id
        self._open.add(connection_id)
        try:
            ticket = await self._engines.feed(
                connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
            )
            if connection_id not in self._open:
                raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="ended while it began")
            await self._ingest.admit(ask_id=ask_id, connection_id=connection_id, ticket=ticket)
        except BaseException:
            self._open.discard(connection_id)
            await self._forget(connection_id)
            raise

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        if self._ingest is not None:
            self._ingest.refuse(ask_id=ask_id, detail=detail, is_wrong_key=is_wrong_key)

    async def close(self, *, connection_id: str, detail: str = "") -> None:
        """As MediaEngine.close."""
        self._end_encoder(connection_id, detail)
        await self._forget(connection_id)

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """As MediaEngine.end_source."""
        for connection_id in [known for known, fed in self._source_of.items() if fed == source_id]:
            self._end_encoder(connection_id, detail)
            del self._source_of[connection_id]
        await self._engines.end_source(source_id=source_id)

    def _end_encoder(self, connection_id: str, detail: str) -> None:
        if connection_id in self._open:
            self._open.remove(connection_id)
            if self._ingest is not None:
                self._ingest.close(connection_id=connection_id, detail=detail)

    async def _forget(self, connection_id: str) -> None:
        """Have the forwarders tell nothing more of a connection."""
        await self._engines.close(connection_id=connection_id)
        self._source_of.pop(connection_id, None)

    def _hear_ingest(self, fact: MediaFact) -> None:
        """Pass on who asks, and who has ended; its forwarder need not wait for that connection any more."""
        match fact:
            case Closed() | IngestFailed():
                if fact.connection_id in self._open:
                    self._open.remove(fact.connection_id)
                    closing = asyncio.get_running_loop().create_task(self._forget(fact.connection_id))
                    self._closing.add(closing)
                    closing.add_done_callback(self._closing.discard)
                    self._hear(fact)
            case IngestAsked():
                self._hear(fact)

    def _hear_engines(self, fact: MediaFact) -> None:
        """Pass a forwarder's fact on, unless it is of an encoder that has ended."""
        if isinstance(fact, IngestAsked):
            return
        if fact.connection_id in self._source_of and fact.connection_id not in self._open:
            return
        if isinstance(fact, Closed):
            self._end_encoder(fact.connection_id, f"{SERVER_FAULT}: the media server lost the stream")
            self._source_of.pop(fact.connection_id, None)
        self._hear(fact)

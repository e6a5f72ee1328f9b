"""The source that a publisher publishes under: there before the engine is asked, and gone when nobody needs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stagebook.manager.session.running_sessions import RunningSessions, SourceLease
from stagebook.media.port import MediaEngine
from stagebook.stage.clock import Randomness
from stagebook.stage.ids import new_connection_id


class SourceLeases:
    """Gives publishers their source slots. Who ends a publication ends its source (`endings.py`)."""

    def __init__(self, *, live: RunningSessions, media: MediaEngine, randomness: Randomness) -> None:
        self._live = live
        self._media = media
        self._randomness = randomness

    @asynccontextmanager
    async def held(self, stage_arn: str, publisher_id: str) -> AsyncIterator[SourceLease]:
        """Keep a publisher's slot, made if need be, while the engine is asked to let the publisher in.

        A slot that nobody uses afterwards is forgotten, here and in the engine, which may have made the source for an
        offer that was lost.
        """
        key = (stage_arn, publisher_id)
        slot = self._live.slots.get(key)
        if slot is None:
            slot = self._live.slots[key] = SourceLease(source_id=new_connection_id(self._randomness))
        slot.offers += 1
        try:
            yield slot
        finally:
            slot.offers -= 1
            if not slot.is_awaited and not self._is_published(key):
                del self._live.slots[key]
                await self._media.end_source(source_id=slot.source_id)

    def _is_published(self, key: tuple[str, str]) -> bool:
        stage_arn, publisher_id = key
        session = self._live.sessions.get(stage_arn)
        live = session.participants.get(publisher_id) if session else None
        return live is not None and live.machine.publication_id is not None

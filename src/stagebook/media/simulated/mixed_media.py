"""Real and simulated peers behind one port: each connection belongs to the engine that opened it.

What opens a connection decides: a `SimulatedOffer`, or the ask of a simulated encoder. All other offers and encoders
are real. Peers of both kinds can be on one stage. A simulated viewer can watch a real publisher, and a real viewer a
simulated one, which sends it nothing (`silent_feeds.py`). A source that ends is ended in both.
"""

from collections.abc import Callable, Sequence

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.port import (
    Answer,
    InitialLayer,
    LayerChoice,
    MediaEngine,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    VideoLayers,
)
from stagebook.media.simulated.silent_feeds import SilentFeeds
from stagebook.media.simulated.simulated_engine import ICE_SESSION, SimulatedEngine
from stagebook.media.simulated.simulated_offer import SimulatedOffer


class MixedMedia:
    """Implements `media.port.MediaEngine` for a server with `--testing`."""

    def __init__(self, real: MediaEngine, simulated: SimulatedEngine, silent: SilentFeeds) -> None:
        self._real = real
        self._simulated = simulated
        self._silent = silent

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""

        def on_real_fact(fact: MediaFact) -> None:
            if not self._silent.take(fact):
                on_fact(fact)

        self._real.listen(on_real_fact)
        self._simulated.listen(on_fact)

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish."""
        if isinstance(offer, SimulatedOffer):
            return self._simulated.publish(connection_id=connection_id, source_id=source_id, offer=offer)
        return await self._real.publish(connection_id=connection_id, source_id=source_id, offer=offer)

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """As MediaEngine.subscribe."""
        if isinstance(offer, SimulatedOffer):
            return self._simulated.subscribe(connection_id=connection_id, source_id=source_id, offer=offer)
        if self._simulated.publishes(source_id):
            await self._silent.open(source_id)
        return await self._real.subscribe(
            connection_id=connection_id, source_id=source_id, offer=offer, initial_layer=initial_layer
        )

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """As MediaEngine.ingest."""
        if self._simulated.has_asked(ask_id):
            self._simulated.ingest(ask_id=ask_id, connection_id=connection_id, source_id=source_id)
        else:
            await self._real.ingest(
                ask_id=ask_id, connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
            )

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        if self._simulated.has_asked(ask_id):
            self._simulated.refuse_ingest(ask_id=ask_id, detail=detail)
        else:
            await self._real.refuse_ingest(ask_id=ask_id, detail=detail, is_wrong_key=is_wrong_key)

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch. A simulated connection takes any fragment."""
        if self._simulated.has(connection_id):
            return PatchAnswer(fragment=None, ice_session=ICE_SESSION)
        return await self._real.patch(connection_id=connection_id, fragment=fragment, ice_session=ice_session)

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """As MediaEngine.layers. A simulated viewer has none."""
        if self._simulated.has(connection_id):
            return VideoLayers()
        return await self._real.layers(connection_id=connection_id)

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """As MediaEngine.select_layer."""
        if not self._simulated.has(connection_id):
            await self._real.select_layer(connection_id=connection_id, choice=choice)
        elif choice.encoding_id is not None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="a simulated viewer has no layers")

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """As MediaEngine.statistics. Nothing flows in a simulated connection."""
        return await self._real.statistics([each for each in connection_ids if not self._simulated.has(each)])

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        """As MediaEngine.close."""
        if self._simulated.has(connection_id):
            self._simulated.close(connection_id=connection_id)
        else:
            await self._real.close(connection_id=connection_id, detail=detail, as_failure=as_failure)

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """As MediaEngine.end_source."""
        self._simulated.end_source(source_id=source_id)
        self._silent.close(source_id)
        await self._real.end_source(source_id=source_id, detail=detail)

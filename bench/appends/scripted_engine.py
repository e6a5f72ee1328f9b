"""A media engine without media: it answers every offer at once, and reports a connection when it is told to."""

from collections.abc import Callable, Sequence

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.port import Answer, Connected, InitialLayer, LayerChoice, MediaFact, PatchAnswer, VideoLayers


class ScriptedEngine:
    """Implements MediaEngine (media/port.py)."""

    def __init__(self) -> None:
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """See MediaEngine.listen."""
        self._on_fact = on_fact

    def connect(self, connection_id: str) -> None:
        """Report that the peer of a connection is connected."""
        self._on_fact(Connected(connection_id=connection_id))

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """See MediaEngine.publish."""
        del connection_id, source_id
        return Answer(sdp=offer, ice_session="ice")

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """See MediaEngine.subscribe."""
        del connection_id, source_id, initial_layer
        return Answer(sdp=offer, ice_session="ice")

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """See MediaEngine.ingest."""

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """See MediaEngine.refuse_ingest."""

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """See MediaEngine.patch."""
        del connection_id, fragment, ice_session
        return PatchAnswer(fragment=None, ice_session="ice")

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """See MediaEngine.layers."""
        del connection_id
        return VideoLayers()

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """Nothing is known."""
        del connection_ids
        return ()

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """See MediaEngine.select_layer."""

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        """See MediaEngine.close."""

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """See MediaEngine.end_source."""

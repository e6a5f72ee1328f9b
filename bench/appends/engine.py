"""A media engine without media: it answers every offer at once and says when it is told that a peer is connected."""

from collections.abc import Callable

from stagebook.media.port import Answer, Connected, MediaFact, PatchAnswer


class ScriptedEngine:
    """Implements media.port.MediaEngine."""

    def __init__(self) -> None:
        self._hear: Callable[[MediaFact], None] = lambda _fact: None

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._hear = hear

    def connect(self, connection_id: str) -> None:
        """Tell that the peer of a connection is connected."""
        self._hear(Connected(connection_id=connection_id))

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish."""
        del connection_id, source_id
        return Answer(sdp=offer, ice_session="ice")

    async def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.subscribe."""
        del connection_id, source_id
        return Answer(sdp=offer, ice_session="ice")

    async def ingest(self, *, ask_id: str, connection_id: str, source_id: str, is_redundant: bool) -> None:
        """As MediaEngine.ingest."""

    async def refuse_ingest(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch."""
        del connection_id, fragment, ice_session
        return PatchAnswer(fragment=None, ice_session="ice")

    async def close(self, *, connection_id: str, detail: str = "") -> None:
        """As MediaEngine.close."""

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        """As MediaEngine.end_source."""

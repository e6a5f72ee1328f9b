"""The engine of peers without media: which of their connections are open, and what their peers do.

It knows no source of its own: any source can be watched, also one of a real publisher. The stage manager asks only for
sources that are on the stage, and ends a source with all of its viewers.
"""

import asyncio
from collections.abc import Callable

import msgspec

from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    IngestAsked,
    IngestFailed,
    IngestFault,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.simulated.simulated_offer import SimulatedOffer

ICE_SESSION = "simulated"
ENCODER_ADDRESS = "127.0.0.1:0"


class EncoderRefusedError(Exception):
    """The stage manager has refused an encoder. The message is what the encoder is told."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is to report about one second of a publisher's media."""

    bitrate_bps: int = 2_500_000
    width: int = 1_280
    height: int = 720
    has_b_frames: bool = False


class SimulatedEngine:
    """Opens and closes connections as `MediaEngine` describes it, and reports what their peers do.

    Calls about a connection that is not open change nothing and return False: its end is in the book already.
    """

    def __init__(self) -> None:
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None
        self._source_of: dict[str, str] = {}
        """The source of each open connection."""
        self._connections_of: dict[str, set[str]] = {}
        self._publishers: set[str] = set()
        self._asks: dict[str, asyncio.Future[str]] = {}
        """The encoders that wait for their admission, with the connection ids that they get."""
        self._asked = 0

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._on_fact = on_fact

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._source_of)

    def has(self, connection_id: str) -> bool:
        """Return whether a connection is open."""
        return connection_id in self._source_of

    def has_asked(self, ask_id: str) -> bool:
        """Return whether a simulated encoder waits for its admission under this id."""
        return ask_id in self._asks

    def publishes(self, source_id: str) -> bool:
        """Return whether a simulated peer publishes this source."""
        return not self._publishers.isdisjoint(self._connections_of.get(source_id, ()))

    # What the stage manager asks for

    def publish(self, *, connection_id: str, source_id: str, offer: SimulatedOffer) -> Answer:
        """As MediaEngine.publish. Raises MediaRefusedError for an offer that is to be refused."""
        answer = self._answer(connection_id, source_id, offer)
        self._publishers.add(connection_id)
        return answer

    def subscribe(self, *, connection_id: str, source_id: str, offer: SimulatedOffer) -> Answer:
        """As MediaEngine.subscribe. Raises MediaRefusedError for an offer that is to be refused."""
        return self._answer(connection_id, source_id, offer)

    def ingest(self, *, ask_id: str, connection_id: str, source_id: str) -> None:
        """As MediaEngine.ingest. Raises MediaRefusedError (UNKNOWN_CONNECTION) if nobody waits for it any more."""
        waiting = self._asks.pop(ask_id, None)
        if waiting is None or waiting.done():
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder has disconnected")
        self._open(connection_id, source_id)
        self._publishers.add(connection_id)
        waiting.set_result(connection_id)

    def refuse_ingest(self, *, ask_id: str, detail: str) -> None:
        """As MediaEngine.refuse_ingest."""
        waiting = self._asks.pop(ask_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(EncoderRefusedError(detail))

    def close(self, *, connection_id: str) -> None:
        """As MediaEngine.close."""
        source_id = self._source_of.pop(connection_id, None)
        if source_id is None:
            return
        self._publishers.discard(connection_id)
        connections = self._connections_of[source_id]
        connections.discard(connection_id)
        if not connections:
            del self._connections_of[source_id]

    def end_source(self, *, source_id: str) -> None:
        """As MediaEngine.end_source."""
        for connection_id in self._connections_of.pop(source_id, ()):
            del self._source_of[connection_id]
            self._publishers.discard(connection_id)

    # What the peers do

    async def ask(self, stream_key: str, *, is_secure: bool) -> str:
        """Let an encoder send its stream key; return the id of its connection when it is admitted.

        Raises EncoderRefusedError.
        """
        self._asked += 1
        ask_id = f"simulated-{self._asked}"
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asks[ask_id] = waiting
        self._on_fact(
            IngestAsked(ask_id=ask_id, stream_key=stream_key, is_secure=is_secure, remote_address=ENCODER_ADDRESS)
        )
        try:
            return await waiting
        finally:
            self._asks.pop(ask_id, None)

    def connect(self, connection_id: str) -> bool:
        """Let a transport connect, or let an encoder's audio and video arrive."""
        if is_open := self.has(connection_id):
            self._on_fact(Connected(connection_id=connection_id))
        return is_open

    def lose(self, connection_id: str, cause: CloseCause) -> bool:
        """End a connection for this cause."""
        if is_open := self.has(connection_id):
            self.close(connection_id=connection_id)
            self._on_fact(Closed(connection_id=connection_id, cause=cause))
        return is_open

    def break_stream(self, connection_id: str, fault: IngestFault) -> bool:
        """End an encoder's connection because its stream breaks a rule."""
        if is_open := self.has(connection_id):
            self.close(connection_id=connection_id)
            self._on_fact(IngestFailed(connection_id=connection_id, fault=fault, detail=f"simulated: {fault.value}"))
        return is_open

    def measure(self, connection_id: str, measured: Measured) -> bool:
        """Report one second of a publisher's media."""
        source_id = self._source_of.get(connection_id)
        if source_id is None:
            return False
        self._on_fact(
            SourceMeasured(
                source_id=source_id,
                connection_id=connection_id,
                bitrate_bps=measured.bitrate_bps,
                width=measured.width,
                height=measured.height,
                has_b_frames=measured.has_b_frames,
            )
        )
        return True

    def _answer(self, connection_id: str, source_id: str, offer: SimulatedOffer) -> Answer:
        if offer.refusal is not None:
            raise MediaRefusedError(reason=offer.refusal, detail=f"simulated: {offer.refusal.value}")
        self._open(connection_id, source_id)
        return Answer(sdp="", ice_session=ICE_SESSION)

    def _open(self, connection_id: str, source_id: str) -> None:
        self._source_of[connection_id] = source_id
        self._connections_of.setdefault(source_id, set()).add(connection_id)

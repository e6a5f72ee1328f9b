"""The engine processes as one MediaEngine: sources are pinned to engines, requests and facts find their way."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine.engine_settings import MAX_ENGINES, EngineSettings
from stagebook.media.rtc.engine.engine_worker import Engine, WorkerStartError, WorkerTimeouts
from stagebook.media.rtc.engine.source_placement import Placement

ReplyT = TypeVar("ReplyT")


class EnginePool:
    """`processes` engines, each with a UDP port of its own. All of media.port.MediaEngine but what takes encoders in.

    If an engine is lost, its connections are told Closed with ENGINE_LOST, its sources are gone, and a new process
    takes its port.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        processes: int,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
    ) -> None:
        """Raises ValueError for a number of processes that cannot be."""
        if not 1 <= processes <= MAX_ENGINES:
            raise ValueError(f"processes: 1 to {MAX_ENGINES}")
        self._hear: Callable[[MediaFact], None] = lambda _fact: None
        self._placement = Placement()
        self._bind_addresses = settings.bind_addresses
        self._feed_directory: tempfile.TemporaryDirectory[str] | None = None
        self._engines = [
            Engine(
                msgspec.structs.replace(settings, udp_port=settings.udp_port + number if settings.udp_port else 0),
                number=number,
                hear=self._take,
                lost=self._lose,
                timeouts=timeouts,
            )
            for number in range(processes)
        ]

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines, by number."""
        return tuple(self._engines)

    def describe(self) -> str:
        """Where media is received, for a person: `127.0.0.1, UDP ports 40000, 40001`."""
        ports = ", ".join(str(engine.udp_port) for engine in self._engines)
        return f"{', '.join(self._bind_addresses)}, UDP port{'s' if len(self._engines) > 1 else ''} {ports}"

    async def start(self) -> None:
        """Start all engines. Raises WorkerStartError, and then none is left running."""
        # Of mode 0700, and with a short path: a socket's has at most 107 bytes.
        try:
            self._feed_directory = tempfile.TemporaryDirectory(prefix="stagebook-")
        except OSError as error:
            raise WorkerStartError(f"no folder for feeds can be made: {error}") from error
        for engine in self._engines:
            engine.feed_directory = self._feed_directory.name
        try:
            await asyncio.gather(*(engine.start() for engine in self._engines))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all engines; no facts are told."""
        await asyncio.gather(*(engine.stop() for engine in self._engines))
        if self._feed_directory is not None:
            self._feed_directory.cleanup()

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._hear = hear

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish. A new source goes to the engine with the fewest connections."""
        engine = self._engine_for(connection_id, source_id)
        request = engine_messages.Publish(
            request_id=engine.next_request_id(), connection_id=connection_id, source_id=source_id, offer=offer
        )
        answer = await self._keep_or_forget(engine.open(request), connection_id)
        self._placement.establish(source_id)
        return answer

    async def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.subscribe, at the source's engine."""
        number = self._placement.place_viewer(connection_id, source_id)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        engine = self._engines[number]
        request = engine_messages.Subscribe(
            request_id=engine.next_request_id(), connection_id=connection_id, source_id=source_id, offer=offer
        )
        return await self._keep_or_forget(engine.open(request), connection_id)

    async def feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Let an encoder's media in for a source: the ticket is for whoever brings it (`media.feed`). Connected follows
        once it says Hello; an end is told only for a lost engine. With `is_redundant` connections feed side by side.

        Raises MediaRefusedError (BUSY, ENGINE_LOST)."""
        engine = self._engine_for(connection_id, source_id, is_redundant=is_redundant)
        request = engine_messages.Feed(
            request_id=engine.next_request_id(),
            connection_id=connection_id,
            source_id=source_id,
            is_redundant=is_redundant,
        )
        ticket = await self._keep_or_forget(engine.feed(request), connection_id)
        self._placement.establish(source_id)
        return ticket

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch."""
        number = self._placement.engine_of(connection_id)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="there is no such connection")
        engine = self._engines[number]
        return await engine.patch(
            engine_messages.Patch(
                request_id=engine.next_request_id(),
                connection_id=connection_id,
                fragment=fragment,
                ice_session=ice_session,
            )
        )

    async def close(self, *, connection_id: str) -> None:
        """As MediaEngine.close."""
        number = self._placement.engine_of(connection_id)
        if number is not None:
            self._placement.remove(connection_id)
            self._engines[number].send(engine_messages.Close(connection_id=connection_id))

    async def end_source(self, *, source_id: str) -> None:
        """As MediaEngine.end_source."""
        number = self._placement.end_source(source_id)
        if number is not None:
            self._engines[number].send(engine_messages.EndSource(source_id=source_id))

    def _engine_for(self, connection_id: str, source_id: str, *, is_redundant: bool = False) -> Engine:
        """Place a publisher. Raises MediaRefusedError."""
        running = [engine.number for engine in self._engines if engine.is_running]
        number = self._placement.place_publisher(connection_id, source_id, running, is_redundant=is_redundant)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="no media engine runs at the moment")
        return self._engines[number]

    async def _keep_or_forget(self, asked: Coroutine[Any, Any, ReplyT], connection_id: str) -> ReplyT:
        """Ask for a connection. If it is refused, or nobody waits for it any more, nothing of it stays."""
        try:
            return await asked
        except MediaRefusedError:
            self._placement.remove(connection_id)
            raise
        except asyncio.CancelledError:
            await self.close(connection_id=connection_id)
            raise

    def _take(self, fact: MediaFact) -> None:
        """Pass a fact on, unless its connection or source was ended while the fact was on its way."""
        match fact:
            case Connected():
                self._placement.connect(fact.connection_id)
                known = self._placement.engine_of(fact.connection_id) is not None
            case Closed():
                known = self._placement.remove(fact.connection_id)
            case SourceMeasured():
                known = self._placement.engine_of(fact.connection_id) is not None
            case _:
                known = False
        if known:
            self._hear(fact)

    def _lose(self, engine: Engine, unanswered: frozenset[str]) -> None:
        """Tell Closed for what an engine held. Whoever still waits for an answer is refused instead, and whoever has
        just got one goes on first."""
        loop = asyncio.get_running_loop()
        for connection_id in self._placement.lose_engine(engine.number):
            if connection_id not in unanswered:
                loop.call_soon(self._hear, Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))


__all__ = ["EnginePool", "WorkerStartError"]

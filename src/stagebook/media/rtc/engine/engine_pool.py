"""The engine processes as one media engine: each source is placed on one engine, and its requests go there.

The pool implements the WebRTC part of `media.port.MediaEngine`. For encoders it offers `open_feed`; `media_router`
joins that with the ingest processes.

When an engine process is lost, its sources are gone and its connections are reported as Closed with ENGINE_LOST. A new
process takes over the port.
"""

import asyncio
import os
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
    InitialLayer,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
    VideoLayers,
)
from stagebook.media.rtc.engine.engine_messages import (
    CloseCommand,
    EndSourceCommand,
    FeedOpened,
    FragmentAnswered,
    LayerSelected,
    LayersListed,
    LayersRequest,
    OfferAnswered,
    OpenFeedRequest,
    PatchRequest,
    PublishRequest,
    SelectLayerRequest,
    SubscribeRequest,
)
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.engine.source_placement import SourcePlacement
from stagebook.media.rtc.engine_settings import MAX_ENGINES, EngineSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.pending_requests import NoReplyError
from stagebook.media.worker.worker_messages import Reply
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

ReplyT = TypeVar("ReplyT", bound=Reply)


def _ignore(_value: object) -> None:
    """The listener before `listen`."""


class EnginePool:
    """All engine processes, each with its own UDP port."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        processes: int,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
        user: ProcessUser | None = None,
    ) -> None:
        """The processes run as `user`, or as this process's user.

        Raises ValueError unless `processes` is from 1 to MAX_ENGINES.
        """
        if not 1 <= processes <= MAX_ENGINES:
            raise ValueError(f"processes: 1 to {MAX_ENGINES}")
        self._on_fact: Callable[[MediaFact], None] = _ignore
        self._on_feed_lost: Callable[[str], None] = _ignore
        self._placement = SourcePlacement()
        self._lost: dict[str, str] = {}
        """Connections of lost engines that are not reported yet, with their source ids."""
        self._bind_addresses = settings.bind_addresses
        self._user = user
        self._feed_directory: tempfile.TemporaryDirectory[str] | None = None
        self._engines = [
            EngineWorker(
                msgspec.structs.replace(settings, udp_port=settings.udp_port + number if settings.udp_port else 0),
                number=number,
                on_fact=self._handle_fact,
                on_lost=self._handle_loss,
                timeouts=timeouts,
                user=user,
            )
            for number in range(processes)
        ]

    @property
    def engines(self) -> tuple[EngineWorker, ...]:
        """The engines, by number."""
        return tuple(self._engines)

    def describe(self) -> str:
        """The addresses and ports of media, for the operator: `127.0.0.1, UDP ports 40000, 40001`."""
        ports = ", ".join(str(engine.udp_port) for engine in self._engines)
        return f"{', '.join(self._bind_addresses)}, UDP port{'s' if len(self._engines) > 1 else ''} {ports}"

    async def start(self) -> None:
        """Start all engines, side by side. Raises WorkerStartError; no engine is left running then.

        Creates the directory for the sockets of the media bus, which `stop` deletes.
        """
        # The directory has mode 0700. Its path is short, because a unix socket's path has at most 107 bytes.
        try:
            self._feed_directory = tempfile.TemporaryDirectory(prefix="stagebook-")
            if self._user is not None:
                os.chown(self._feed_directory.name, self._user.user_id, self._user.group_id)
        except OSError as error:
            raise WorkerStartError(f"cannot create a directory for encoder feeds: {error}") from error
        for engine in self._engines:
            engine.feed_directory = self._feed_directory.name
        try:
            await asyncio.gather(*(engine.start() for engine in self._engines))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all engines. No facts are reported."""
        await asyncio.gather(*(engine.stop() for engine in self._engines))
        if self._feed_directory is not None:
            self._feed_directory.cleanup()

    def listen(self, on_fact: Callable[[MediaFact], None], *, on_feed_lost: Callable[[str], None] = _ignore) -> None:
        """Set the listener for facts, as MediaEngine.listen. `on_feed_lost` is called with the id of each connection
        of a lost engine, just before its Closed is reported: the owner of encoders' connections ends them."""
        self._on_fact = on_fact
        self._on_feed_lost = on_feed_lost

    # Commands

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """Answer a publisher's offer, as MediaEngine.publish. A new source is placed on the engine with the fewest
        connections."""
        engine = self._place_publisher(connection_id, source_id)
        request = PublishRequest(
            request_id=engine.next_request_id(), connection_id=connection_id, source_id=source_id, offer=offer
        )
        reply = await self._open(engine.request(request, OfferAnswered), connection_id, source_id, engine)
        self._placement.establish(source_id)
        return reply.answer

    async def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None = None
    ) -> Answer:
        """Answer a viewer's offer on the source's engine, as MediaEngine.subscribe.

        Raises MediaRefusedError: UNKNOWN_SOURCE before the source's first publisher was accepted or after the loss of
        its engine, otherwise with the engine's reason.
        """
        number = self._placement.place_viewer(connection_id, source_id)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        engine = self._engines[number]
        request = SubscribeRequest(
            request_id=engine.next_request_id(),
            connection_id=connection_id,
            source_id=source_id,
            offer=offer,
            initial_layer=initial_layer,
        )
        return (await self._open(engine.request(request, OfferAnswered), connection_id, source_id, engine)).answer

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Allow an encoder's connection to feed a source, and return the ticket for the media bus.

        Connected is reported when the feed's Hello arrives. The end of a feed is reported only if its engine is lost.
        With `is_redundant`, several feeds of a source may be open side by side. Raises MediaRefusedError (BUSY,
        ENGINE_LOST).
        """
        engine = self._place_publisher(connection_id, source_id, is_redundant=is_redundant)
        request = OpenFeedRequest(
            request_id=engine.next_request_id(),
            connection_id=connection_id,
            source_id=source_id,
            is_redundant=is_redundant,
        )
        reply = await self._open(engine.request(request, FeedOpened), connection_id, source_id, engine)
        self._placement.establish(source_id)
        return reply.ticket

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Answer a trickle or ICE restart fragment, as MediaEngine.patch."""
        engine = self._engine_of(connection_id)
        request = PatchRequest(
            request_id=engine.next_request_id(), connection_id=connection_id, fragment=fragment, ice_session=ice_session
        )
        return (await engine.request(request, FragmentAnswered)).answer

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """Return the layers that a viewer can choose, as MediaEngine.layers."""
        engine = self._engine_of(connection_id)
        request = LayersRequest(request_id=engine.next_request_id(), connection_id=connection_id)
        return (await engine.request(request, LayersListed)).layers

    async def select_layer(self, *, connection_id: str, encoding_id: str | None) -> None:
        """Let a viewer choose a layer, as MediaEngine.select_layer."""
        engine = self._engine_of(connection_id)
        request = SelectLayerRequest(
            request_id=engine.next_request_id(), connection_id=connection_id, encoding_id=encoding_id
        )
        await engine.request(request, LayerSelected)

    def _engine_of(self, connection_id: str) -> EngineWorker:
        """The engine of an open connection. Raises MediaRefusedError (UNKNOWN_CONNECTION)."""
        number = self._placement.engine_of(connection_id)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="there is no such connection")
        return self._engines[number]

    def close(self, *, connection_id: str, as_failure: bool = False) -> None:
        """Close one connection. No fact about it is reported after this. Unknown ids are ignored. With `as_failure` its
        peer sees a failure."""
        self._lost.pop(connection_id, None)
        number = self._placement.engine_of(connection_id)
        if number is not None:
            self._placement.remove(connection_id)
            self._engines[number].send(CloseCommand(connection_id=connection_id, as_failure=as_failure))

    def end_source(self, *, source_id: str) -> None:
        """End a source and close its connections. No fact about them is reported after this. Unknown ids are
        ignored."""
        # Also those of a lost engine whose end is to be reported in the next iteration of the event loop.
        self._lost = {lost: source for lost, source in self._lost.items() if source != source_id}
        number = self._placement.end_source(source_id)
        if number is not None:
            self._engines[number].send(EndSourceCommand(source_id=source_id))

    def _place_publisher(self, connection_id: str, source_id: str, *, is_redundant: bool = False) -> EngineWorker:
        """Place a publisher on an engine. Raises MediaRefusedError (ENGINE_LOST)."""
        running = [engine.number for engine in self._engines if engine.is_running]
        number = self._placement.place_publisher(connection_id, source_id, running, is_redundant=is_redundant)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="no media engine is running")
        return self._engines[number]

    async def _open(
        self, request: Coroutine[Any, Any, ReplyT], connection_id: str, source_id: str, engine: EngineWorker
    ) -> ReplyT:
        """Await the request that opens a connection. If it is refused or not replied to, or if the caller is cancelled,
        the connection is removed again."""
        try:
            return await request
        except (NoReplyError, asyncio.CancelledError):
            # The engine may accept the request nevertheless, and then it keeps a new source until it is ended.
            self.close(connection_id=connection_id)
            if not self._placement.has_source(source_id):
                engine.send(EndSourceCommand(source_id=source_id))
            raise
        except MediaRefusedError:
            self._placement.remove(connection_id)
            raise

    # Facts

    def _handle_fact(self, fact: MediaFact) -> None:
        """Report a fact, unless its connection was closed or its source ended while the fact was on its way."""
        match fact:
            case Connected():
                self._placement.connect(fact.connection_id)
                is_known = self._placement.engine_of(fact.connection_id) is not None
            case Closed():
                is_known = self._placement.remove(fact.connection_id)
            case SourceMeasured():
                is_known = self._placement.engine_of(fact.connection_id) is not None
            case _:
                is_known = False
        if is_known:
            self._on_fact(fact)

    def _handle_loss(self, engine: EngineWorker, unanswered: frozenset[str]) -> None:
        """Report Closed for the connections of a lost engine, except those whose opening request has failed.

        The reports are deferred to the next iteration of the event loop: a caller whose request was answered just
        before the loss resumes first, so that it knows its connection when the report arrives.
        """
        loop = asyncio.get_running_loop()
        for connection_id, source_id in self._placement.lose_engine(engine.number).items():
            if connection_id not in unanswered:
                self._lost[connection_id] = source_id
                loop.call_soon(self._report_loss, connection_id)

    def _report_loss(self, connection_id: str) -> None:
        if self._lost.pop(connection_id, None) is not None:
            self._on_feed_lost(connection_id)
            self._on_fact(Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))

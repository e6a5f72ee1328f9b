"""The engine processes as one media engine: each source is placed on one engine, and relayed to others for its viewers.

The pool implements the WebRTC part of `media.port.MediaEngine`. For encoders it offers `open_feed`; `media_router`
joins that with the ingest processes.

When an engine process is lost, its sources are gone and its connections are reported as Closed with ENGINE_LOST. A new
process takes over the port.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    Connected,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
    VideoLayers,
)
from stagebook.media.rtc.engine.engine_messages import (
    CloseCommand,
    ConnectionsMeasured,
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
    StatisticsRequest,
    SubscribeRequest,
)
from stagebook.media.rtc.engine.engine_processes import EngineProcesses
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.engine.relay_opening import RelayOpening
from stagebook.media.rtc.engine.source_placement import RELAY_MARGIN, Relay, SourcePlacement
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.pending_requests import NoReplyError
from stagebook.media.worker.worker_messages import Reply
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

ReplyT = TypeVar("ReplyT", bound=Reply)

_STATISTICS_CONNECTION = "statistics"
"""Requests are counted by connection; those for statistics count together, so that they cannot hold up the others."""
_RELAY_FAILURES = (RefusalReason.UNKNOWN_SOURCE, RefusalReason.BUSY, RefusalReason.ENGINE_LOST)
"""Refusals of a subscription at a relay after which it is tried at the source's own engine."""


def _ignore(_value: object) -> None:
    """The listener before `listen`."""


class EnginePool:
    """All engine processes, each with its own UDP port, and with one TCP port together."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        processes: int,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
        user: ProcessUser | None = None,
        on_demand: bool = False,
        relay_margin: int = RELAY_MARGIN,
    ) -> None:
        """The processes run as `user`, or as this process's user. With `on_demand` they start with the first publisher.
        `relay_margin` decides when a source is relayed (`source_placement`).

        Raises ValueError unless `processes` is from 1 to MAX_ENGINES.
        """
        self._on_fact: Callable[[MediaFact], None] = _ignore
        self._on_feed_lost: Callable[[str], None] = _ignore
        self._placement = SourcePlacement(relay_margin=relay_margin)
        self._lost: dict[str, str] = {}
        """Connections of lost engines that are not reported yet, with their source ids."""
        self._processes = EngineProcesses(
            settings,
            processes=processes,
            timeouts=timeouts,
            user=user,
            on_demand=on_demand,
            on_fact=self._handle_fact,
            on_lost=self._handle_loss,
        )
        self._engines = self._processes.engines
        self._relays = RelayOpening(self._engines)

    @property
    def engines(self) -> tuple[EngineWorker, ...]:
        """The engines, by number."""
        return self._engines

    @property
    def tcp_port(self) -> int | None:
        """The TCP port of media once the pool has started; None without one."""
        return self._processes.tcp_port

    def describe(self) -> str:
        """The addresses and ports of media, for the operator: `127.0.0.1, UDP ports 40000, 40001, TCP port 40000`."""
        return self._processes.describe()

    async def start(self) -> None:
        """Bind the TCP port, and start all engines, side by side, unless they start on demand.

        Raises WorkerStartError; no engine is left running then.
        """
        await self._processes.start()

    async def stop(self) -> None:
        """Stop all engines. No facts are reported."""
        await self._processes.stop()

    def listen(self, on_fact: Callable[[MediaFact], None], *, on_feed_lost: Callable[[str], None] = _ignore) -> None:
        """Set the listener for facts, as MediaEngine.listen. `on_feed_lost` is called with the id of each connection
        of a lost engine, just before its Closed is reported: the owner of encoders' connections ends them."""
        self._on_fact = on_fact
        self._on_feed_lost = on_feed_lost

    # Commands

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """Answer a publisher's offer, as MediaEngine.publish. A new source is placed on the engine with the fewest
        connections."""
        await self._processes.start_on_demand()
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
        """Answer a viewer's offer on the source's engine or on one that the source is relayed to, as
        MediaEngine.subscribe.

        Raises MediaRefusedError: UNKNOWN_SOURCE before the source's first publisher was accepted or after the loss of
        its engine, otherwise with the engine's reason.
        """
        number = self._placement.place_viewer(connection_id, source_id, self._processes.running)
        own = self._placement.own_engine(source_id)
        if number is None or own is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        request = SubscribeRequest(
            request_id=0, connection_id=connection_id, source_id=source_id, offer=offer, initial_layer=initial_layer
        )
        if number != own:
            answered = self._subscribe_at_relay(request, Relay(source_id, number), own)
        else:
            answered = self._subscribe_at(request, number)
        return (await self._open(answered, connection_id, source_id, self._engines[number])).answer

    async def _subscribe_at(self, request: SubscribeRequest, number: int) -> OfferAnswered:
        engine = self._engines[number]
        numbered = msgspec.structs.replace(request, request_id=engine.next_request_id())
        return await engine.request(numbered, OfferAnswered)

    async def _subscribe_at_relay(self, request: SubscribeRequest, relay: Relay, own: int) -> OfferAnswered:
        """Subscribe at an engine that the source is relayed to. If the relay fails, subscribe at the source's own
        engine."""
        try:
            await self._relays.ensure(relay, own)
            return await self._subscribe_at(request, relay.engine)
        except NoReplyError:
            raise
        except MediaRefusedError as refused:
            if refused.reason not in _RELAY_FAILURES:
                raise
        self._remove(request.connection_id)
        number = self._placement.place_at_source(request.connection_id, request.source_id)
        if number is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        return await self._subscribe_at(request, number)

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Allow an encoder's connection to feed a source, and return the ticket for the media bus.

        Connected is reported when the feed's Hello arrives. The end of a feed is reported only if its engine is lost.
        With `is_redundant`, several feeds of a source may be open side by side. Raises MediaRefusedError (BUSY,
        ENGINE_LOST).
        """
        await self._processes.start_on_demand()
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

    async def open_tap(
        self,
        source_id: str,
        accept: Callable[[SourceDescription], Awaitable[FeedTicket]],
        *,
        feed_id: str | None = None,
    ) -> None:
        """Let a process that records or composes receive what a source's engine receives (`media.tap`).

        `accept` gets the description of the source, lets that process accept the tap, and returns its ticket. The
        engine then connects. A source may have several taps. The receiver closes the tap, and hears when it ends: with
        the source, with its engine, or because the receiver does not read. A publisher that connects again or replaces
        another goes on in the same tap.

        `feed_id` is the connection id of one of several redundant encoders. The tap then receives this encoder alone,
        whether viewers see it or not, and ends with its connection.

        Raises MediaRefusedError (UNKNOWN_SOURCE, UNKNOWN_CONNECTION, BUSY, ENGINE_LOST), and what `accept` raises.
        """
        own = self._placement.own_engine(source_id)
        if own is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        await self._relays.open_tap(source_id, own, accept, feed_id=feed_id)

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

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """Let a viewer choose a layer, as MediaEngine.select_layer."""
        engine = self._engine_of(connection_id)
        request = SelectLayerRequest(request_id=engine.next_request_id(), connection_id=connection_id, choice=choice)
        await engine.request(request, LayerSelected)

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """Return what the engines know of connections, as MediaEngine.statistics."""
        by_engine: dict[int, list[str]] = {}
        for connection_id in connection_ids:
            number = self._placement.engine_of(connection_id)
            if number is not None:
                by_engine.setdefault(number, []).append(connection_id)
        measured = await asyncio.gather(
            *(self._statistics_of(self._engines[number], ids) for number, ids in by_engine.items())
        )
        return tuple(each for of_engine in measured for each in of_engine)

    async def _statistics_of(self, engine: EngineWorker, ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        request = StatisticsRequest(
            request_id=engine.next_request_id(), connection_id=_STATISTICS_CONNECTION, connection_ids=tuple(ids)
        )
        return (await engine.request(request, ConnectionsMeasured)).connections

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
            self._engines[number].send(CloseCommand(connection_id=connection_id, as_failure=as_failure))
            self._remove(connection_id)

    def end_source(self, *, source_id: str) -> None:
        """End a source and close its connections. No fact about them is reported after this. Unknown ids are
        ignored."""
        # Also those of a lost engine whose end is to be reported in the next iteration of the event loop.
        self._lost = {lost: source for lost, source in self._lost.items() if source != source_id}
        for number in self._placement.end_source(source_id):
            self._relays.forget(Relay(source_id, number))
            self._engines[number].send(EndSourceCommand(source_id=source_id))

    def _remove(self, connection_id: str) -> bool:
        """Remove a connection, and end the relay that nobody needs then. False if the connection is unknown."""
        is_known = self._placement.remove(connection_id)
        self._end_unused_relays()
        return is_known

    def _end_unused_relays(self) -> None:
        for relay in self._placement.take_unused_relays():
            self._relays.forget(relay)
            self._engines[relay.engine].send(EndSourceCommand(source_id=relay.source_id))

    def _place_publisher(self, connection_id: str, source_id: str, *, is_redundant: bool = False) -> EngineWorker:
        """Place a publisher on an engine. Raises MediaRefusedError (ENGINE_LOST)."""
        running = self._processes.running
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
            self._remove(connection_id)
            raise

    # Facts

    def _handle_fact(self, fact: MediaFact) -> None:
        """Report a fact, unless its connection was closed or its source ended while the fact was on its way."""
        match fact:
            case Connected():
                self._placement.connect(fact.connection_id)
                is_known = self._placement.engine_of(fact.connection_id) is not None
            case Closed():
                is_known = self._remove(fact.connection_id)
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
        self._relays.forget_engine(engine.number)
        self._end_unused_relays()

    def _report_loss(self, connection_id: str) -> None:
        if self._lost.pop(connection_id, None) is not None:
            self._on_feed_lost(connection_id)
            self._on_fact(Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))

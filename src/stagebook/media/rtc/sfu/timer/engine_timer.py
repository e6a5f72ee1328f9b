"""The timer of an engine: one tick for all sources, viewers and connections, four times a second.

An exception in one of them is logged and stops no other one. The timers of a viewer take about 40 us of CPU time, and
those of a hundred viewers would delay every packet by 4 ms. So at most CALLS_PER_TURN of a tick run in one turn of the
event loop, and packets are received in between.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from stagebook.media.port import MediaFact
from stagebook.media.rtc.sfu.connection_table import ConnectionTable
from stagebook.media.rtc.sfu.encoder.encoder_feeds import EncoderFeeds
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.relay.relayed_sources import RelayedSources
from stagebook.media.rtc.transport.shared_transport import SharedTransport

TICK_SECONDS: Final = 0.25
"""Interval of the timers: handshake retransmissions, timeouts, layer selection, repeated NACKs. The first NACK for a
gap is sent at once, when the packet after the gap arrives."""
_TICKS_PER_SECOND: Final = 4
CALLS_PER_TURN: Final = 24
"""Timers of sources and viewers that run in one turn of the event loop."""

_TimerCall: TypeAlias = tuple[str, Callable[[float], None]]
"""The cause by which `FaultIsolation` logs a call, and the call."""


class EngineTimer:
    """Calls what is due."""

    def __init__(
        self,
        *,
        sources: Mapping[str, MediaSource],
        connections: ConnectionTable,
        transport: SharedTransport,
        feeds: EncoderFeeds,
        relayed: RelayedSources,
        isolation: FaultIsolation,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
    ) -> None:
        """The parts of an engine. `on_fact` receives the measurements of sources. `clock` returns monotonic seconds."""
        self._sources = sources
        self._connections = connections
        self._transport = transport
        self._feeds = feeds
        self._relayed = relayed
        self._isolation = isolation
        self._on_fact = on_fact
        self._clock = clock
        self.ticks = 0
        """How many there were."""
        self._timer: asyncio.TimerHandle | None = None
        self._calls: Iterator[_TimerCall] = iter(())
        """The calls of the current tick that have not been made."""
        self._next_calls: asyncio.Handle | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """End. A timer that was never started is ignored."""
        for handle in (self._timer, self._next_calls):
            if handle is not None:
                handle.cancel()

    def _tick(self) -> None:
        self.start()
        if self._next_calls is None:  # the tick before has ended
            self._calls = self._timer_calls()
            self._make_calls()

    def _timer_calls(self) -> Iterator[_TimerCall]:
        """Yield the timers of all sources and viewers. What has been closed since the beginning is left out."""
        for source_id, source in list(self._sources.items()):
            if self._sources.get(source_id) is source:
                yield "source", source.handle_timers
                for connection_id, viewer in list(source.viewers.items()):
                    if source.viewers.get(connection_id) is viewer:
                        yield "viewer", viewer.handle_timers

    def _make_calls(self) -> None:
        """Make the next calls of a tick, and end the tick after the last one."""
        self._next_calls = None
        # Not the time of the tick: packets have been received since.
        now = self._clock()
        for _ in range(CALLS_PER_TURN):
            cause, call = next(self._calls, ("", None))
            if call is None:
                self._end_tick(now)
                return
            self._isolation.call(cause, call, now)
        self._next_calls = asyncio.get_running_loop().call_soon(self._make_calls)

    def _end_tick(self, now: float) -> None:
        self.ticks += 1
        self._connections.handle_timers(now, self._isolation)
        if self.ticks % _TICKS_PER_SECOND == 0:
            self._each_second(now)

    def _each_second(self, now: float) -> None:
        self._transport.reset_rate_limits()
        self._connections.reset_rate_limits()
        self._isolation.call("feed tickets", self._feeds.expire_tickets, now)
        self._isolation.call("relay tickets", self._relayed.expire_tickets, now)
        for source in list(self._sources.values()):
            self._isolation.call("source reports", source.each_second, now)
            self._isolation.call("source measurement", self._measure, source, now)

    def _measure(self, source: MediaSource, now: float) -> None:
        for measured in source.measure(now):
            self._on_fact(measured)

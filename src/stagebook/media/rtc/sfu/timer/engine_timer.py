"""The timer of an engine: one tick for all sources, viewers and connections, four times a second.

An exception in one of them is logged and stops no other one.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

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

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """End. A timer that was never started is ignored."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self.start()
        now = self._clock()
        self.ticks += 1
        for source in list(self._sources.values()):
            self._isolation.call("source", source.handle_timers, now)
            for viewer in list(source.viewers.values()):
                self._isolation.call("viewer", viewer.handle_timers, now)
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

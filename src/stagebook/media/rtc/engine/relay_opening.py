"""Opens the relays of sources from their own engines to others, each once, whoever waits for it.

    pool                     the source's own engine          the other engine
      | -- DescribeSourceRequest --> |                                |
      | -- AcceptRelayRequest --------------------------------------> |   makes the source
      | -- StartRelayCommand ------> |                                |
                                     | -- RelayHello, media --------> |

A relay may be no longer needed while it is being opened, because its viewers have left. The pool then sends
EndSourceCommand to the other engine and calls `forget`; a later viewer opens it anew. Commands to one engine are
carried out in order, so a forgotten opening that sends nothing more leaves nothing behind.

A tap is the same with a process that records or composes instead of the other engine. Nobody shares it, and its
receiver closes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.engine.engine_messages import (
    AcceptRelayRequest,
    DescribeSourceRequest,
    EndSourceCommand,
    FeedOpened,
    SourceDescribed,
    StartRelayCommand,
)
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.rtc.engine.source_placement import Relay
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.pending_requests import NoReplyError


class RelayOpening:
    """The relays of a pool, open or being opened."""

    def __init__(self, engines: Sequence[EngineWorker]) -> None:
        """`engines` by number."""
        self._engines = engines
        self._openings: dict[Relay, asyncio.Task[None]] = {}

    async def ensure(self, relay: Relay, own_engine: int) -> None:
        """Open a relay unless it is open, and wait until viewers can subscribe at its engine.

        Raises MediaRefusedError if it cannot be opened, or is forgotten meanwhile. The next call tries again.
        """
        opening = self._openings.get(relay)
        if opening is None:
            opening = asyncio.create_task(self._open(relay, own_engine))
            # Reading the exception keeps asyncio from logging one whose waiters have been cancelled.
            opening.add_done_callback(lambda done: None if done.cancelled() else done.exception())
            self._openings[relay] = opening
        try:
            await asyncio.shield(opening)
        except MediaRefusedError:
            if self._openings.get(relay) is opening:
                del self._openings[relay]
            raise

    def forget(self, relay: Relay) -> None:
        """The relay has ended, or is ended by the caller. Unknown ones are ignored."""
        self._openings.pop(relay, None)

    def forget_engine(self, engine: int) -> None:
        """All relays to an engine have ended with its process."""
        for relay in [relay for relay in self._openings if relay.engine == engine]:
            self.forget(relay)

    async def open_tap(
        self,
        source_id: str,
        own_engine: int,
        accept: Callable[[SourceDescription], Awaitable[FeedTicket]],
        *,
        feed_id: str | None,
    ) -> None:
        """Open a tap of a source on its own engine (`EnginePool.open_tap`)."""
        own = self._engines[own_engine]
        ticket = await accept(await self._describe(own, source_id, feed_id))
        own.send(StartRelayCommand(source_id=source_id, ticket=ticket, is_tap=True, feed_id=feed_id))

    @staticmethod
    async def _describe(own: EngineWorker, source_id: str, feed_id: str | None = None) -> SourceDescription:
        request = DescribeSourceRequest(
            request_id=own.next_request_id(),
            connection_id=_counted_as(source_id),
            source_id=source_id,
            feed_id=feed_id,
        )
        return (await own.request(request, SourceDescribed)).description

    async def _open(self, relay: Relay, own_engine: int) -> None:
        own, other = self._engines[own_engine], self._engines[relay.engine]
        opening = self._openings[relay]
        description = await self._describe(own, relay.source_id)
        self._check_wanted(relay, opening)
        request = AcceptRelayRequest(
            request_id=other.next_request_id(),
            connection_id=_counted_as(relay.source_id),
            source_id=relay.source_id,
            description=description,
        )
        try:
            accepted = await other.request(request, FeedOpened)
        except NoReplyError:
            # The engine may still accept it.
            other.send(EndSourceCommand(source_id=relay.source_id))
            raise
        self._check_wanted(relay, opening)
        own.send(StartRelayCommand(source_id=relay.source_id, ticket=accepted.ticket))

    def _check_wanted(self, relay: Relay, opening: asyncio.Task[None]) -> None:
        if self._openings.get(relay) is not opening:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="the relay is no longer needed")


def _counted_as(source_id: str) -> str:
    """Requests are counted by connection; those for one source's relays and taps count together."""
    return f"relay:{source_id}"

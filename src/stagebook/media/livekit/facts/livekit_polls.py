"""Polls of LiveKit: the facts that webhooks and signalling sockets can lose.

GetParticipant is called for the connections that are due, spread over each round:

* a connection that is not known to be connected: each second;
* a connected publisher, whose end is reported otherwise only by a webhook: every 0.25 to 2 s;
* a connected viewer without a signalling socket: every 5 s.

LiveKit gives up a peer that has vanished after 15 to 17 s: its ICE agent needs 15 s without a packet, looks every 2 s
(pion/ice, `validateSelectedPair`), and has no setting for either. What polls add to that must be short, so the interval
of publishers is as short as PUBLISHER_CALLS_PER_SECOND allows: 0.25 s for up to 5 publishers, 2 s for 40. A source
whose last call has failed is polled every 2 s: LiveKit has other work then. Rounds are as long as the interval, up to a
second.

A participant that LiveKit does not know has ended. One that is not connected yet may be so new that LiveKit's nodes do
not find it: it has some seconds. One that is not connected in time is removed from LiveKit, whose own limit is longer.

A room whose node has failed answers no call. After three failures in a row over LOST_AFTER_SECONDS the source is lost,
if LiveKit as a whole works (`livekit_pings`) or does not answer at all. Without Redis calls about all rooms fail, and
their media continues: sources are kept until calls have failed for OUTAGE_SECONDS. Failures are counted for each
source, over all of its connections, and again from the end of an outage on. After a failure one call about the source
is made at a time, before all others: a failed node takes few of the calls in progress.

The number of calls is bounded: MAX_CALLS_PER_SECOND together, of which MAX_CALLS_AT_ONCE are in progress. Further calls
are made in the next round, the longest due first. Up to 400 publishers are polled every 2 s, 4,000 every 20 s. A call
takes about 6 ms of LiveKit's time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, Protocol

import msgspec
import structlog
from livekit.protocol.models import ParticipantInfo

from stagebook.media.livekit.facts.livekit_pings import LiveKitState, Reachability
from stagebook.media.livekit.facts.room_connections import RoomConnection
from stagebook.media.livekit.facts.webhook_notes import note_participant
from stagebook.media.livekit.livekit_rooms import LiveKitRooms
from stagebook.media.livekit.room_service import RoomServiceError
from stagebook.media.port import CloseCause

UNCONNECTED_SECONDS: Final = 1.0
PUBLISHER_SECONDS: Final = 2.0
"""The longest interval, unless MAX_CALLS_PER_SECOND makes it longer."""
MIN_PUBLISHER_SECONDS: Final = 0.25
PUBLISHER_CALLS_PER_SECOND: Final = 20.0
"""The rate of calls while the interval is shorter than PUBLISHER_SECONDS."""
VIEWER_SECONDS: Final = 5.0
NEW_CONNECTION_SECONDS: Final = 5.0
"""Time after its opening in which a connection that is not found may still appear."""
LOST_AFTER_FAILURES: Final = 3
LOST_AFTER_SECONDS: Final = 6.0
"""The third failed answer comes at most 11 s after the failure of a node: the first call begins within 2 s, and each is
answered after 3 s."""
OUTAGE_SECONDS: Final = 300.0
"""How long sources stay during a failure of LiveKit's API. Webhooks still report what ends in this time."""
MAX_CALLS_PER_SECOND: Final = 200
MAX_CALLS_AT_ONCE: Final = 128
"""Enough that calls about the rooms of a failed node, each answered after 3 s, do not delay those of other nodes."""
_MAX_ROUND_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class ParticipantLookup(Protocol):
    """What the polls call (`room_service`)."""

    async def get_participant(self, name: str, identity: str) -> ParticipantInfo | None: ...
    async def remove_participant(self, name: str, identity: str) -> None: ...


class _Failures(msgspec.Struct, kw_only=True):
    """The failed calls about a source since the last that succeeded."""

    first_at: float
    """When the first one began."""
    count: int = 0


class LiveKitPolls:
    """Polls for the connections of one engine."""

    def __init__(
        self,
        rooms: LiveKitRooms,
        service: ParticipantLookup,
        *,
        connect_timeout_seconds: float,
        livekit_state: Callable[[], LiveKitState | None],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """A connection has `connect_timeout_seconds` from its offer until it is connected. `livekit_state`
        returns the result of the newest ping. `monotonic` returns seconds. `sleep` waits for some."""
        self.answered = 0
        """The calls that LiveKit has answered, also with `not_found`."""
        self.failed = 0
        self.answered_at: float | None = None
        """The monotonic time of the last answer; None before the first one."""
        self._rooms = rooms
        self._service = service
        self._connect_timeout_seconds = connect_timeout_seconds
        self._livekit_state = livekit_state
        self._monotonic = monotonic
        self._sleep = sleep
        self._asked_at: dict[str, float] = {}
        """When the round began in which each connection was last polled."""
        self._failures: dict[str, _Failures] = {}
        """By source id."""
        self._asking: dict[str, asyncio.Task[None]] = {}
        """By connection id."""
        self._waiting: Counter[str] = Counter()
        """The calls that are not answered yet, by source id."""

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                await self.run_round()
        finally:
            for task in self._asking.values():
                task.cancel()

    async def run_round(self) -> None:
        """Poll the connections that are due, spread over a round."""
        now = self._monotonic()
        publisher_seconds = self._publisher_seconds()
        round_seconds = min(publisher_seconds, _MAX_ROUND_SECONDS)
        due = self._due(now, publisher_seconds, round_seconds)[: round(MAX_CALLS_PER_SECOND * round_seconds)]
        for connection in due:
            while len(self._asking) >= MAX_CALLS_AT_ONCE:
                await asyncio.wait(self._asking.values(), return_when=asyncio.FIRST_COMPLETED)
            self._ask(connection, now)
            await self._sleep(round_seconds / len(due))
        if not due:
            await self._sleep(round_seconds)

    def _publisher_seconds(self) -> float:
        """Return the interval at which each publisher is polled; the longest one if there is none."""
        count = len(self._rooms.connected_publishers())
        if not count:
            return PUBLISHER_SECONDS
        return min(max(count / PUBLISHER_CALLS_PER_SECOND, MIN_PUBLISHER_SECONDS), PUBLISHER_SECONDS)

    def _due(self, now: float, publisher_seconds: float, round_seconds: float) -> list[RoomConnection]:
        """Return the connections that are to be polled in this round, the longest due first.

        Those that are due before the middle of the round are among them.
        """
        due: list[tuple[bool, float, RoomConnection]] = []
        known: dict[str, float] = {}
        for connection, interval in self._polled(publisher_seconds):
            asked_at = self._asked_at.get(connection.connection_id, connection.opened_at)
            known[connection.connection_id] = asked_at
            overdue_seconds = now - asked_at - interval + round_seconds / 2
            if overdue_seconds >= 0 and connection.connection_id not in self._asking:
                due.append((connection.source_id in self._failures, overdue_seconds, connection))
        self._asked_at = known
        self._failures = {each: failures for each, failures in self._failures.items() if self._rooms.is_open(each)}
        due.sort(key=lambda each: each[:2], reverse=True)
        return list(self._without_crowds(connection for _, _, connection in due))

    def _without_crowds(self, due: Iterable[RoomConnection]) -> Iterator[RoomConnection]:
        """Leave out all connections of a source whose last call failed but one, and all while a call about it waits."""
        crowded = {source_id for source_id in self._failures if self._waiting[source_id]}
        for connection in due:
            if connection.source_id not in crowded:
                if connection.source_id in self._failures:
                    crowded.add(connection.source_id)
                yield connection

    def _polled(self, publisher_seconds: float) -> Iterator[tuple[RoomConnection, float]]:
        """Yield the connections, each with its interval in seconds."""
        for connection in self._rooms.unconnected():
            yield connection, UNCONNECTED_SECONDS
        for connection in self._rooms.connected_publishers():
            yield connection, PUBLISHER_SECONDS if connection.source_id in self._failures else publisher_seconds
        for connection in self._rooms.viewers_without_socket():
            yield connection, VIEWER_SECONDS

    def _ask(self, connection: RoomConnection, second: float) -> None:
        """Start to poll a connection. `second` is the time at which the round began."""
        self._asked_at[connection.connection_id] = second
        task = asyncio.create_task(self._ask_for(connection))
        self._asking[connection.connection_id] = task
        self._waiting[connection.source_id] += 1
        task.add_done_callback(lambda _: self._note_done(connection))

    def _note_done(self, connection: RoomConnection) -> None:
        self._asking.pop(connection.connection_id, None)
        self._waiting[connection.source_id] -= 1
        if not self._waiting[connection.source_id]:
            del self._waiting[connection.source_id]

    async def _ask_for(self, connection: RoomConnection) -> None:
        began_at = self._monotonic()
        try:
            participant = await self._service.get_participant(connection.room, connection.connection_id)
            self.answered += 1
            self.answered_at = self._monotonic()
            if participant is not None and participant.identity == connection.connection_id:
                note_participant(participant, self._rooms)
                await self._end_if_late(connection, began_at)
        except RoomServiceError as error:
            self.failed += 1
            self._note_failure(connection, began_at, str(error))
            return
        except Exception:  # noqa: BLE001 - the other polls continue
            _log.exception("a poll of LiveKit failed", connection_id=connection.connection_id)
            return
        self._failures.pop(connection.source_id, None)
        if participant is None:
            self._note_missing(connection, began_at)

    def _note_missing(self, connection: RoomConnection, began_at: float) -> None:
        """LiveKit does not know a participant, as of a moment after `began_at`. `connection` is what was known then."""
        known = self._rooms.find(connection.connection_id)
        if known is None or known.is_connected is not connection.is_connected:
            # It has connected meanwhile, and the answer may be older.
            return
        if connection.is_connected or began_at - connection.opened_at > NEW_CONNECTION_SECONDS:
            self._rooms.note_ended(connection.connection_id, CloseCause.CONSENT_LOST)

    async def _end_if_late(self, connection: RoomConnection, now: float) -> None:
        """End a connection that was not connected in time. Raises RoomServiceError."""
        known = self._rooms.find(connection.connection_id)
        is_late = now - connection.opened_at > self._connect_timeout_seconds
        if known is not None and not known.is_connected and is_late:
            self._rooms.note_ended(connection.connection_id, CloseCause.NEVER_CONNECTED)
            await self._service.remove_participant(connection.room, connection.connection_id)

    def _note_failure(self, connection: RoomConnection, began_at: float, detail: str) -> None:
        state = self._livekit_state()
        failures = self._failures.get(connection.source_id)
        if failures is None or _preceded_an_outage(failures, state):
            failures = self._failures[connection.source_id] = _Failures(first_at=began_at)
        failures.count += 1
        if self._means_loss(failures, state) and self._rooms.is_open(connection.source_id):
            del self._failures[connection.source_id]
            _log.error("a room of LiveKit is lost", room=connection.room, detail=detail)
            self._rooms.note_lost(connection.source_id)

    def _means_loss(self, failures: _Failures, state: LiveKitState | None) -> bool:
        """Return whether the failed calls about a source mean that its room is lost."""
        failed_seconds = self._monotonic() - failures.first_at
        if failures.count < LOST_AFTER_FAILURES or failed_seconds < LOST_AFTER_SECONDS:
            return False
        if failed_seconds >= OUTAGE_SECONDS:
            return True
        if state is None or state.pinged_at < failures.first_at:
            return False
        return state.reachability is not Reachability.FAILING


def _preceded_an_outage(failures: _Failures, state: LiveKitState | None) -> bool:
    """Return whether LiveKit works again since a time after the first of the failures, which was part of its outage."""
    return state is not None and state.reachability is Reachability.REACHABLE and failures.first_at < state.since

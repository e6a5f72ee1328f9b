"""The live part of the tail: one reader of the event log for all clients.

    commit -> on_durable -> read new events once -> encode each once -> match once per filter -> parts of the readers

The work of a turn of the event loop is bounded: a batch of events is read, and its parts are put in for a number of
readers, then others have their turn.

A reader joins at a position. The newest events are kept in memory, and a reader that has read the past up to one of
them gets the rest of them and then what follows, in one step of the event loop. So it misses nothing and gets nothing
twice, whatever is appended meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from stagebook.api.light_event import LightEvent
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.watch.live_tail.event_stream_format import HEARTBEAT, DisconnectCode, event_message, position_message
from stagebook.api.watch.live_tail.live_reader import LiveReader, QueueBudget, StreamPart, stream_parts
from stagebook.book.composition_log import FollowedLog, LogEntry
from stagebook.history.event_query import EventFilter

BATCH_EVENTS = 64
"""Events that are read and encoded in one turn of the event loop: about a millisecond."""
TURN_STEPS = 64
"""Parts that are put in, and filters that are evaluated, in one turn. Each part is then written to a socket."""
RECENT_EVENTS = 256
"""Events that are kept in memory for readers that join."""

_log = structlog.get_logger(__name__)


class LiveEvent:
    """An event, and its message once it was needed."""

    __slots__ = ("_message", "logged", "sequence")

    def __init__(self, logged: LogEntry) -> None:
        self.logged = logged
        self.sequence = logged.sequence
        self._message: bytes | None = None

    @property
    def message(self) -> bytes:
        """The message of the event."""
        if self._message is None:
            self._message = event_message(self.logged)
        return self._message


class LiveEvents:
    """Gives durable events to all readers, between `start` and `end`."""

    def __init__(self, log: FollowedLog, *, heartbeat_seconds: float, budget: QueueBudget | None = None) -> None:
        """Read `log`, which nothing else may use."""
        self._log = log
        self._heartbeat_seconds = heartbeat_seconds
        self._budget = budget or QueueBudget()
        self._readers: dict[LiveReader, None] = {}
        self._groups: dict[EventFilter, dict[LiveReader, None]] = {}
        self._recent: deque[LiveEvent] = deque(maxlen=RECENT_EVENTS)
        self._recent_after = 0
        """`_recent` has every event after this sequence number, up to `position`."""
        self.position = 0
        """The sequence number up to which the log was read."""
        self._delivered = 0
        """The sequence number up to which every live reader was served."""
        self._durable = LightEvent()
        self._steps = 0
        self._is_ending = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def reader_count(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    def note_durable(self) -> None:
        """Read the new events soon. The book calls it when transactions have become durable."""
        if self._readers:
            self._durable.set()

    @property
    def is_anybody_live(self) -> bool:
        """Whether there are readers that have joined and have not ended."""
        return bool(self._groups)

    def last_sequence(self) -> int:
        """Return the sequence number of the newest event in the book."""
        return self._log.last_sequence()

    def open_reader(self, where: EventFilter, *, check_access: Callable[[], None]) -> LiveReader:
        """Return a new reader, which has to `join`. It must be closed."""
        if not self._readers:
            # Nothing was read while nobody was there.
            self.position = self._delivered = self._recent_after = self._log.last_sequence()
            self._recent.clear()
        reader = LiveReader(where, check_access=check_access, budget=self._budget)
        self._readers[reader] = None
        if self._is_ending:
            reader.finish(DisconnectCode.STOPPING)
        return reader

    def close_reader(self, reader: LiveReader) -> None:
        """Forget a reader."""
        self._leave(reader)
        self._readers.pop(reader, None)
        reader.close()

    def remembers(self, sequence: int) -> bool:
        """Return whether an event with this sequence number would be among those in memory."""
        return self._recent_after < sequence <= self.position

    def find_recent(self, sequence: int) -> LogEntry | None:
        """Return the event in memory with this sequence number, if there is one."""
        return next((each.logged for each in self._recent if each.sequence == sequence), None)

    def join(self, reader: LiveReader, position: int) -> bool:
        """Give a reader every event after `position` from now on. False if some of them have to be read before."""
        if position < self._recent_after:
            return False
        reader.sent_position = position
        self._put(reader, stream_parts(_messages(self._recent, where=reader.where, after=position)))
        if reader.end is None:
            reader.position = max(position, self.position)
            reader.is_live = True
            self._groups.setdefault(reader.where, {})[reader] = None
        return True

    def start(self) -> None:
        """Serve the readers until `end` is called."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._beat())]

    async def end(self) -> None:
        """End all readers after the events that are durable now. Idempotent."""
        follow, beat = self._tasks
        beat.cancel()
        self._is_ending = True
        self._durable.set()
        await follow

    async def _follow(self) -> None:
        is_last = False
        while not is_last:
            await self._durable.wait()
            self._durable.clear()
            # Taken before the read, which then includes what was durable when `end` was called.
            is_last = self._is_ending
            try:
                await self._read_on()
            except Exception as error:  # noqa: BLE001 - whatever it is, the readers must not wait for ever
                # They come back, and a book that is damaged at one place only can be read after it.
                _log.error("the live tail cannot read the book", exc_info=error)
                self._finish_all(DisconnectCode.FAILED)
                self._readers.clear()
        self._finish_all(DisconnectCode.STOPPING)

    async def _read_on(self) -> None:
        is_behind = True
        while is_behind and self._readers:
            position = self.position
            events = await self._log.read_entries_after(position, limit=BATCH_EVENTS)
            if position != self.position:
                # All readers left during the read, and a new one came, which starts at a later position.
                continue
            # A shorter batch is the newest: what is durable after this read sets `_durable` again.
            is_behind = len(events) == BATCH_EVENTS
            if events:
                await self._deliver([LiveEvent(logged) for logged in events])
                await self._step(TURN_STEPS)

    async def _deliver(self, batch: Sequence[LiveEvent]) -> None:
        """Give a batch to the readers that are live now. One that joins later gets it from `_recent`."""
        for event in batch:
            if len(self._recent) == RECENT_EVENTS:
                self._recent_after = self._recent[0].sequence
            self._recent.append(event)
        self.position = batch[-1].sequence
        for where, readers in [(where, tuple(readers)) for where, readers in self._groups.items()]:
            parts = list(stream_parts(_messages(batch, where=where)))
            await self._step(1)
            for reader in readers if parts else ():
                is_ahead = reader.position >= batch[0].sequence
                messages = _messages(batch, where=where, after=reader.position) if is_ahead else ()
                self._put(reader, stream_parts(messages) if is_ahead else parts)
                await self._step(1)
        self._delivered = max(self._delivered, batch[-1].sequence)

    def _put(self, reader: LiveReader, parts: Iterable[StreamPart]) -> None:
        for part in parts:
            reader.put(part)
        if reader.end is not None:
            self._leave(reader)

    async def _beat(self) -> None:
        """Send each idle reader a sign of life and its position, and end those that may not read any more."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            for reader in tuple(self._readers):
                self._beat_one(reader)
                await self._step(1)

    def _beat_one(self, reader: LiveReader) -> None:
        try:
            reader.check_access()
        except ApiRefusedError:
            reader.finish(DisconnectCode.ACCESS_ENDED, drop=True)
            self._leave(reader)
            return
        if reader.is_idle:
            position = max(reader.position, self._delivered)
            data = position_message(position) if position > reader.sent_position else HEARTBEAT
            reader.put(StreamPart(data, events=0, last_sequence=position))

    async def _step(self, steps: int) -> None:
        """Count steps, and let others have their turn after TURN_STEPS of them."""
        self._steps += steps
        if self._steps >= TURN_STEPS:
            self._steps = 0
            await asyncio.sleep(0)

    def _finish_all(self, end: DisconnectCode) -> None:
        for reader in self._readers:
            self._leave(reader)
            reader.finish(end)

    def _leave(self, reader: LiveReader) -> None:
        reader.is_live = False
        group = self._groups.get(reader.where)
        if group is not None:
            group.pop(reader, None)
            if not group:
                del self._groups[reader.where]


def _messages(events: Iterable[LiveEvent], *, where: EventFilter, after: int = -1) -> Iterable[tuple[int, bytes]]:
    return ((each.sequence, each.message) for each in events if each.sequence > after and where.matches(each.logged))

"""One delivery run in motion: reads the book, makes the attempts of its schedule, and notes what became of them."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.webhooks.composition_envelope import composition_message_body
from stagebook.webhooks.delivery.delivery_journal import DeliveryJournal, JournalEntry
from stagebook.webhooks.delivery.delivery_schedule import DeliveryAttempt, DeliverySchedule, DeliveryState
from stagebook.webhooks.delivery_outcome import Delivered, Failed, Missing, Outcome
from stagebook.webhooks.delivery_records import Backlog, Run
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.event_envelope import CONTENT_TYPES, message_body
from stagebook.webhooks.event_source import EventSource, SourceAwayError
from stagebook.webhooks.targets.target import OutgoingMessage, Target
from stagebook.webhooks.webhook_file import DeliveryOrigin, RunKind

READ_SIZE = 200
"""The events that are read from the book at a time: a few milliseconds."""
AWAY_SECONDS = 1.0
"""Pause before another read of a database that cannot be reached."""
MISSING_REASON = "the book no longer has the event"
_log = structlog.get_logger(__name__)


def reason_of(outcome: Outcome) -> str | None:
    """Return why an attempt failed, or None."""
    match outcome:
        case Delivered():
            return None
        case Failed():
            return outcome.reason
        case Missing():
            return MISSING_REASON


def ordering_key(logged: LogEntry) -> str:
    """Return what the order of deliveries is kept within: the id of the session, or the ARN of the composition."""
    return logged.composition_arn if isinstance(logged, LoggedCompositionEvent) else logged.session_id


class DeliveryRun:
    """Delivers the events of one run until it is complete or cancelled."""

    def __init__(
        self,
        run: Run,
        destination: Destination,
        schedule: DeliverySchedule,
        *,
        source: EventSource,
        target: Target,
        journal: DeliveryJournal,
        now_ms: Callable[[], int],
        on_noted: Callable[[], None],
        counts: Backlog,
    ) -> None:
        """`now_ms` is a clock that never goes back. `on_noted` is called when the journal has something to write.

        `counts` are the counts of the destination so far.
        """
        self.run = run
        self.destination = destination
        self._schedule = schedule
        self._filter = destination.filter.of_account(destination.account_id)
        self._source = source
        self._target = target
        self._journal = journal
        self._now_ms = now_ms
        self._on_noted = on_noted
        self._wake = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._has_read_all = False
        self._is_gone = False
        self._delivered, self._failed, self._dead = counts.delivered, counts.failed_attempts, counts.dead

    @property
    def backlog(self) -> Backlog:
        """What the run has not delivered yet, and its counts."""
        return Backlog(
            destination_id=self.destination.destination_id,
            pending=self._schedule.pending,
            is_complete=self._has_read_all,
            oldest_sequence=self._schedule.oldest_pending,
            blocked_sessions=self._schedule.blocked_sessions,
            delivered=self._delivered,
            failed_attempts=self._failed,
            dead=self._dead,
        )

    def wake(self) -> None:
        """The book has new events."""
        self._wake.set()

    def store_progress(self) -> None:
        """Pass to the journal what is finished."""
        self._journal.note_progress(self.run.key, self._schedule.progress())

    async def serve(self) -> None:
        """Deliver events. Returns when a replay is complete."""
        try:
            while not self._is_complete:
                self._wake.clear()
                if not self._is_gone:
                    self._read()
                    self._start_attempts()
                if self._has_read_all or not self._schedule.wants_events or self._is_gone:
                    await self._wait()
                else:
                    await asyncio.sleep(0)
        finally:
            for task in self._attempts:
                task.cancel()

    @property
    def _is_complete(self) -> bool:
        end = self.run.end_sequence
        return end is not None and self._schedule.read_position >= end and not self._schedule.pending

    def _read(self) -> None:
        """Add the next page of the book to the schedule."""
        if not self._schedule.wants_events:
            return
        position = self._schedule.read_position
        if self.run.kind is RunKind.DEAD_LETTERS:
            self._read_dead_letters(position)
            return
        try:
            page = self._source.read_after(self.destination.account_id, position, limit=READ_SIZE)
        except SourceAwayError:
            self._has_read_all = True
            asyncio.get_running_loop().call_later(AWAY_SECONDS, self._wake.set)
            return
        self._has_read_all, read_to, events = page.has_all, page.read_to, page.events
        end = self.run.end_sequence
        if end is not None and (page.has_all or read_to >= end):
            events = [each for each in events if each.sequence <= end]
            self._has_read_all, read_to = True, end
        wanted = [(each.sequence, ordering_key(each)) for each in events if self._is_wanted(each)]
        self._schedule.add(wanted, read_to=read_to)
        if read_to != position:
            self._on_noted()

    def _read_dead_letters(self, position: int) -> None:
        found = self._journal.dead_letters_after(self.run, position, limit=READ_SIZE)
        self._has_read_all = len(found) < READ_SIZE
        end = self.run.end_sequence or position
        self._schedule.add(
            [(each.sequence, ordering_key(each)) for each in self._source.read_at(found)],
            read_to=end if self._has_read_all else found[-1],
        )
        self._on_noted()

    def _is_wanted(self, logged: LogEntry) -> bool:
        session_id = self.run.session_id
        return (session_id is None or session_id == ordering_key(logged)) and self._filter.matches(logged)

    def _start_attempts(self) -> None:
        while True:
            batch: list[DeliveryAttempt] = []
            while len(batch) < self._target.batch_size and (attempt := self._schedule.take(self._now_ms())):
                batch.append(attempt)
            if not batch:
                return
            task = asyncio.create_task(self._attempt(batch))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)

    async def _wait(self) -> None:
        """Wait for new events, the end of an attempt, or the time of the next one."""
        now_ms = self._now_ms()
        next_ms = None if self._is_gone else self._schedule.next_time_ms(now_ms)
        try:
            async with asyncio.timeout(None if next_ms is None else max(next_ms - now_ms, 0) / 1_000):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _attempt(self, batch: Sequence[DeliveryAttempt]) -> None:
        events: dict[int, LogEntry] = {}
        outcomes: dict[int, Outcome] = {}
        try:
            found = self._source.read_at([attempt.sequence for attempt in batch])
            events = {event.sequence: event for event in found}
            outcomes = await self._deliver(found)
        except Exception as error:  # noqa: BLE001 - the error of one event must not end the run
            _log.exception("a webhook could not be delivered", webhook=self.destination.destination_id)
            outcomes = dict.fromkeys(
                (attempt.sequence for attempt in batch), Failed(reason=f"{type(error).__name__}: {error}")
            )
        for attempt in batch:
            self._settle(attempt, events.get(attempt.sequence), outcomes.get(attempt.sequence, Missing()))
        self._wake.set()

    async def _deliver(self, events: Sequence[LogEntry]) -> dict[int, Outcome]:
        """Deliver events with one call; return the outcomes by sequence number."""
        if not events:
            return {}
        outcomes = await self._target.deliver([self._message(event) for event in events])
        return {event.sequence: outcome for event, outcome in zip(events, outcomes, strict=True)}

    def _message(self, logged: LogEntry) -> OutgoingMessage:
        form = self.destination.format
        if isinstance(logged, LoggedCompositionEvent):
            body = composition_message_body(logged, form)
        else:
            body = message_body(logged, form, source=self._source.replica_source(logged))
        return OutgoingMessage(
            event_id=logged.event_id,
            session_id=ordering_key(logged),
            body=body,
            content_type=CONTENT_TYPES[form],
            time_s=int(time.time()),
        )

    def _settle(self, attempt: DeliveryAttempt, event: LogEntry | None, outcome: Outcome) -> None:
        now_ms = self._now_ms()
        settlement = self._schedule.settle(attempt, outcome, now_ms=now_ms)
        entry = JournalEntry(
            destination_id=self.destination.destination_id,
            run_key=self.run.key,
            sequence=attempt.sequence,
            session_id=attempt.session_id,
            origin=DeliveryOrigin.LIVE if self.run.kind is RunKind.LIVE else DeliveryOrigin.REPLAY,
            state=settlement.state,
            attempts=attempt.number,
            status=None if isinstance(outcome, Missing) else outcome.status,
            error=reason_of(outcome),
            now_ms=now_ms,
            next_ms=settlement.next_ms,
        )
        self._journal.note(entry if event is None else entry.of_event(event))
        self._delivered += isinstance(outcome, Delivered)
        self._failed += isinstance(outcome, Failed)
        self._dead += settlement.state is DeliveryState.DEAD
        if isinstance(outcome, Failed) and outcome.is_gone:
            self._is_gone = True
            self._journal.note_gone(self.destination.destination_id, reason=outcome.reason)
            _log.warning("a webhook was disabled: its endpoint is gone", webhook=self.destination.destination_id)
        self._on_noted()

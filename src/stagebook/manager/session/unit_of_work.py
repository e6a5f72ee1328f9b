"""Where a fact becomes events in the book: ask the heart, change the live state, write both in one transaction.

Every change of a participant or a session goes through here, so memory, rows and events cannot part. Owns the clock
(time never runs backwards inside one run). Decides nothing: the heart decides; knows no engine and no door.
"""

import asyncio
from collections.abc import Callable, Iterable

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant
from stagebook.book.store import Book, Durable
from stagebook.manager.participants.effective_token import of_token
from stagebook.manager.resources.pending_resources import PendingResources
from stagebook.manager.session.running_sessions import LiveParticipant, LiveSession, RunningSessions
from stagebook.stage import session as sessions
from stagebook.stage.claims import Claims
from stagebook.stage.clock import Clock, Randomness
from stagebook.stage.events import Event
from stagebook.stage.facts import Fact
from stagebook.stage.ids import new_session_id
from stagebook.stage.participant import Participant, Presence, step
from stagebook.stage.projection import record_after
from stagebook.stage.resources import ClientInfo, ParticipantRecord


class UnitOfWork:
    """Writes what happens on the stages into the book, and keeps the live state in step with it."""

    def __init__(
        self, *, book: Book, live: RunningSessions, clock: Clock, randomness: Randomness, linger_ms: int
    ) -> None:
        self.live = live
        self.book = book
        self.linger_ms = linger_ms
        self.shelf = PendingResources(book=book)
        self.backlog = 0
        self.changed: Callable[[LiveSession], None] = lambda _session: None
        self._clock = clock
        self._randomness = randomness
        self._last_ms = 0
        self._last: Durable | None = None

    def now_ms(self) -> int:
        """Return the time, never earlier than the last answer."""
        self._last_ms = max(self._last_ms, self._clock.now_ms())
        return self._last_ms

    def submit(self, changes: list[Change]) -> Durable:
        """Hand a transaction to the book; return what to await until it is durable.

        `backlog` counts what is not durable yet. If the book fails, memory is ahead of what lasts: whoever runs the
        book hears of it there, and the server must stop.
        """
        durable = self._submit(changes)
        durable.add_done_callback(self._note_done)
        return durable

    def _submit(self, changes: list[Change]) -> Durable:
        self._last = self.book.submit(changes).durable
        self.shelf.note(changes, self._last)
        self.backlog += 1
        return self._last

    def _note_done(self, durable: asyncio.Future[None]) -> None:
        self.backlog -= 1
        durable.exception()  # Seen: not every transaction has somebody who waits for it.

    async def settled(self) -> None:
        """Wait until everything submitted so far is durable."""
        if self._last is not None:
            await self._last

    def session_of(self, stage_arn: str, account_id: str, changes: list[Change]) -> LiveSession:
        """Return the stage's running session, opening one (and writing that to `changes`) if there is none."""
        session = self.live.sessions.get(stage_arn)
        if session is None:
            session = LiveSession(
                stage_arn=stage_arn, account_id=account_id, session_id=new_session_id(self._randomness)
            )
            self.live.sessions[stage_arn] = session
            changes.append(OpenSession(stage_arn=stage_arn, session_id=session.session_id, start_ms=self.now_ms()))
        return session

    def participant_of(self, session: LiveSession, claims: Claims, client: ClientInfo) -> LiveParticipant:
        """Return the live participant, taking up its row if it was in this session before."""
        live = session.participants.get(claims.participant_id)
        if live is None:
            record = (
                self.book.get_participant(session.stage_arn, session.session_id, claims.participant_id)
                if session.has_forgotten
                else None
            )
            live = LiveParticipant(
                claims=claims,
                record=record
                or ParticipantRecord(
                    participant_id=claims.participant_id,
                    user_id=claims.user_id,
                    attributes=claims.attributes,
                    client=client,
                ),
            )
            session.participants[claims.participant_id] = live
        if live.machine.presence is Presence.ABSENT:
            live.arrive(of_token(claims))
        return live

    def write(self, session: LiveSession, live: LiveParticipant, facts: Iterable[Fact], changes: list[Change]) -> None:
        """Apply facts of one participant and add what they make to `changes`: its row, if it changed, and events."""
        at_ms = self.now_ms()
        participant_id = live.record.participant_id
        before = live.machine
        is_new = before.presence is Presence.ABSENT
        events: list[Event] = []
        for fact in facts:
            made = step(live.machine, fact)
            live.machine = made.participant
            events.extend(made.events)
        record = record_after(
            live.record,
            events,
            at_ms=at_ms,
            protocol=live.protocol,
            is_replicated=bool(live.machine.replications),
        )
        if record is not live.record or (is_new and events):
            live.record = record
            changes.append(
                PutParticipant(stage_arn=session.stage_arn, session_id=session.session_id, participant=record)
            )
        changes.extend(
            AppendEvent(
                stage_arn=session.stage_arn,
                session_id=session.session_id,
                participant_id=participant_id,
                event=event,
                at_ms=at_ms,
            )
            for event in events
        )
        self._count(session, before, live.machine, at_ms)

    def _count(self, session: LiveSession, before: Participant, after: Participant, at_ms: int) -> None:
        counted = session.session
        present = counted.present + (after.presence is Presence.PRESENT) - (before.presence is Presence.PRESENT)
        awaited = counted.awaited + after.is_awaited - before.is_awaited
        is_new = not present and not awaited and counted.empty_since_ms is None
        if (present, awaited) != (counted.present, counted.awaited) or is_new:
            session.session = sessions.present_changed(counted, present=present, awaited=awaited, at_ms=at_ms)
        else:
            session.session = sessions.attempted(session.session, at_ms=at_ms)

    def commit(self, session: LiveSession, changes: list[Change]) -> Durable:
        """Submit changes and tell `changed`; once durable, forget participants who are gone.

        They are `session`'s, and through replications also those of other sessions. With nothing to write, what is
        returned waits for all that was submitted before.
        """
        touched = self._touched(changes)
        for other in {session.stage_arn: session, **{each.stage_arn: each for each, _ in touched}}.values():
            self.changed(other)
        if not changes:
            return self._last or self.submit(changes)
        for _, live in touched:
            live.unsettled += 1
        durable = self._submit(changes)
        durable.add_done_callback(lambda done: self._settle(done, touched))
        return durable

    def _settle(self, durable: asyncio.Future[None], touched: list[tuple[LiveSession, LiveParticipant]]) -> None:
        self._note_done(durable)
        for session, live in touched:
            live.unsettled -= 1
            away = not live.machine.connections and not live.machine.is_awaited
            if away and not live.unsettled:
                session.participants.pop(live.record.participant_id, None)
                session.has_forgotten = True

    def _touched(self, changes: list[Change]) -> list[tuple[LiveSession, LiveParticipant]]:
        """Return whom events were appended for. Sessions that end with these changes are forgotten already."""
        found = {}
        for change in changes:
            if isinstance(change, AppendEvent):
                session = self.live.sessions.get(change.stage_arn)
                if session is not None and session.session_id == change.session_id:
                    found[change.stage_arn, change.participant_id] = (
                        session,
                        session.participants[change.participant_id],
                    )
        return list(found.values())

    def end(self, session: LiveSession, *, end_ms: int) -> list[Change]:
        """End a session and forget it; return the change to submit."""
        del self.live.sessions[session.stage_arn]
        return [EndSession(stage_arn=session.stage_arn, session_id=session.session_id, end_ms=end_ms)]

    def overdue(self) -> list[tuple[LiveSession, int]]:
        """Return the lingering sessions whose linger is over, with the time each ends at."""
        now_ms = self.now_ms()
        found = []
        for session in self.live.sessions.values():
            end_ms = sessions.end_ms(session.session, linger_ms=self.linger_ms)
            if end_ms is not None and end_ms <= now_ms:
                found.append((session, end_ms))
        return found

"""The working copy of a session while the rules decide one fact.

A draft collects the changed participants, the events and the orders of one decision. `finish` derives from them what
follows for the session as a whole: counters, phase, linger timer and rows. No rule changes these directly, so a new
rule cannot forget one of them. The session that the draft started from is never changed.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from stagebook.stage.events import Event
from stagebook.stage.participant.participant_facts import ParticipantFact
from stagebook.stage.participant.participant_machine import step
from stagebook.stage.participant.record_projection import WITHOUT_CHANGE, record_after
from stagebook.stage.resources import ParticipantRecord
from stagebook.stage.session.decision import Context, Decision, Refusal
from stagebook.stage.session.orders import (
    CancelTimer,
    EndSource,
    Order,
    ParticipantEvent,
    SetTimer,
    WriteParticipant,
    WriteSessionEnd,
    WriteSessionStart,
)
from stagebook.stage.session.persistent_map import PersistentMap
from stagebook.stage.session.session_facts import LingerElapsed
from stagebook.stage.session.session_phase import SESSION_PHASES, SessionPhase, SessionTurn
from stagebook.stage.session.session_state import NO_USAGE, Session, SessionParticipant, Source, Usage, usage_of

_OPEN = SessionPhase.OPEN


class Draft:
    """The working copy of one session."""

    __slots__ = (
        "_changed",
        "_end",
        "_with_events",
        "arrivals",
        "base",
        "context",
        "events",
        "orders",
        "sources",
        "viewers",
    )

    def __init__(self, session: Session, context: Context) -> None:
        self.base = session
        self.context = context
        self.viewers: PersistentMap[str, PersistentMap[str, str]] = session.viewers
        self.sources: PersistentMap[str, Source] = session.sources
        self.arrivals = session.arrivals
        self.events: list[ParticipantEvent] = []
        self.orders: list[Order] = []
        self._changed: dict[str, SessionParticipant] = {}
        self._with_events: dict[str, None] = {}
        self._end: tuple[SessionTurn, int] | None = None

    def find(self, participant_id: str) -> SessionParticipant | None:
        """Return a participant in its newest state, or None."""
        found = self._changed.get(participant_id)
        return self.base.participants.get(participant_id) if found is None else found

    def get(self, participant_id: str) -> SessionParticipant:
        """Return a participant that exists in its newest state."""
        found = self._changed.get(participant_id)
        return self.base.participants[participant_id] if found is None else found

    def participant_ids(self) -> list[str]:
        """Return the ids of all participants in order of arrival. The persistent mapping has no order of its own."""
        everybody = {**dict(self.base.participants.items()), **self._changed}
        return sorted(everybody, key=lambda participant_id: everybody[participant_id].arrival)

    def put(self, participant: SessionParticipant) -> None:
        """Set the newest state of a participant."""
        self._changed[participant.record.participant_id] = participant

    def order(self, order: Order) -> None:
        """Add an order."""
        self.orders.append(order)

    def record(self, participant_id: str, *facts: ParticipantFact) -> SessionParticipant:
        """Apply facts to one participant and add its events; return its newest state.

        The participant must be in the draft. Raises IllegalFactError if a fact is illegal in its state.
        """
        participant = self.get(participant_id)
        machine = participant.machine
        events: tuple[Event, ...] = ()
        for fact in facts:
            made = step(machine, fact)
            machine = made.participant
            events = events + made.events if events else made.events
        is_row_changed = False
        for event in events:
            self.events.append(ParticipantEvent(participant_id=participant_id, event=event))
            if event.name not in WITHOUT_CHANGE:
                is_row_changed = True
        if events:
            self._with_events[participant_id] = None
        if is_row_changed:
            record = record_after(
                participant.record,
                events,
                at_ms=self.context.at.wall_ms,
                protocol=participant.protocol,
                is_replicated=bool(machine.replications),
            )
            participant = replace(participant, machine=machine, record=record, is_written=False)
        else:
            participant = replace(participant, machine=machine)
        self._changed[participant_id] = participant
        return participant

    def lease_source(self, publisher_id: str, *, user_id: str, participant_id: str, fresh_id: str) -> str:
        """Let a connection or attempt use the source of a publisher; return the source's id.

        A publisher without a source gets a new one with the id `fresh_id`. Both connections of a replacement use the
        same source, so the subscriptions of its viewers stay valid.
        """
        source = self.sources.get(publisher_id) or Source(source_id=fresh_id)
        users = {**source.users, user_id: participant_id}
        self.sources = self.sources.insert(publisher_id, replace(source, users=users))
        return source.source_id

    def release_source(self, publisher_id: str, *, user_id: str, detail: str) -> bool:
        """End one use of a source, and order the end of the source after the last one. Return whether it has ended."""
        source = self.sources.get(publisher_id)
        if source is None or user_id not in source.users:
            return False
        users = {other: owner for other, owner in source.users.items() if other != user_id}
        if users:
            self.sources = self.sources.insert(publisher_id, replace(source, users=users))
            return False
        self.sources = self.sources.remove(publisher_id)
        self.order(EndSource(source_id=source.source_id, detail=detail))
        return True

    def close(self, turn: SessionTurn, *, end_ms: int) -> None:
        """End the session with this decision. `turn` is CLOSED or LINGER_OVER, `end_ms` its end on the event clock."""
        self._end = (turn, end_ms)

    def finish(self, refusal: Refusal = None) -> Decision:
        """Return the decision: the next session with everything that follows from the changed participants.

        `refusal` is the result of the rule. The draft must not be used afterwards.
        """
        participants, usage, rows, departed = self._fold_participants()
        session = replace(
            self.base,
            participants=participants,
            viewers=self.viewers,
            sources=self.sources,
            usage=usage,
            arrivals=self.arrivals,
            has_departed=True if departed else self.base.has_departed,
        )
        first: Sequence[Order] = ()
        last: Sequence[Order] = ()
        is_filled = bool(usage.present or usage.awaited)
        if self._end is not None or (self.events and not (is_filled and session.phase is _OPEN)):
            session, first, last = self._turn(session, is_filled=is_filled)
        return Decision(
            session=session,
            changed_ids=self._changed.keys(),
            departed=tuple(departed),
            events=tuple(self.events),
            # The session's own row precedes the rows of its participants, which refer to it; its end follows them.
            orders=(*first, *rows, *self.orders, *last),
            refusal=refusal,
        )

    def _fold_participants(
        self,
    ) -> tuple[PersistentMap[str, SessionParticipant], Usage, list[Order], list[ParticipantRecord]]:
        """Return the next participants and counters, the rows to write, and the rows of those that departed."""
        rows: list[Order] = []
        departed: list[ParticipantRecord] = []
        participants, usage = self.base.participants, self.base.usage
        for participant_id, participant in self._changed.items():
            # The newest version has this participant as the base has it. Reading the base would cost n steps after n
            # changes.
            former = participants.get(participant_id)
            before, counted = NO_USAGE if former is None else former.usage, usage_of(participant)
            # By identity first: the usual values are shared objects, see `usage_of`.
            if counted is not before and counted != before:
                usage = _moved(usage, before, counted)
            # A change without an event (an offer in progress, a measurement) does not write a row: nothing of it is
            # visible in the API, and a participant that was never recorded has no row.
            if not participant.is_written and participant_id in self._with_events:
                rows.append(WriteParticipant(record=participant.record))
                participant = replace(participant, usage=counted, is_written=True)
            elif counted is not participant.usage:
                participant = replace(participant, usage=counted)
            # The session holds only participants that are present, arriving or awaited. Its memory is bounded by the
            # quota of participants instead of growing with everyone who has ever been on the stage.
            # Each of them counts something.
            if counted is not NO_USAGE:
                participants = participants.insert(participant_id, participant)
                continue
            if participant.is_written:
                departed.append(participant.record)
            if former is not None:
                participants = participants.remove(participant_id)
        return participants, usage, rows, departed

    def _turn(self, session: Session, *, is_filled: bool) -> tuple[Session, Sequence[Order], Sequence[Order]]:
        """Move the session to its next phase; return it, and the orders before and after the rows of participants."""
        at, timer = self.context.at, linger_timer(session.stage_arn)
        phase, empty_since, start_ms = session.phase, session.empty_since, session.start_ms
        first: list[Order] = []
        last: list[Order] = []
        if self.events:
            if phase is SessionPhase.UNOPENED:
                start_ms = at.wall_ms
                first.append(WriteSessionStart(start_ms=start_ms))
            phase = SESSION_PHASES[phase, SessionTurn.FILLED if is_filled else SessionTurn.EMPTIED]
            if not is_filled:
                # Also for a refused attempt while the session lingers. Its end is computed from `empty_since`, and the
                # timer can be late: without the new time the session could end before the event of the attempt.
                empty_since, due_ms = at, at.monotonic_ms + self.context.linger_ms
                last.append(SetTimer(key=timer, due_ms=due_ms, fact=LingerElapsed()))
            elif empty_since is not None:
                empty_since = None
                last.append(CancelTimer(key=timer))
        if self._end is not None:
            turn, end_ms = self._end
            is_unopened = phase is SessionPhase.UNOPENED
            phase = SESSION_PHASES[phase, turn]
            last.append(CancelTimer(key=timer))
            if not is_unopened:
                last.append(WriteSessionEnd(end_ms=max(end_ms, start_ms)))
        return replace(session, phase=phase, empty_since=empty_since, start_ms=start_ms), first, last


def linger_timer(stage_arn: str) -> str:
    """Return the key of the linger timer of a stage's session."""
    return f"linger:{stage_arn}"


def _moved(total: Usage, before: Usage, after: Usage) -> Usage:
    """Return the session's counters after one participant's have changed."""
    return Usage(
        present=total.present + after.present - before.present,
        arriving=total.arriving + after.arriving - before.arriving,
        awaited=total.awaited + after.awaited - before.awaited,
        publishers=total.publishers + after.publishers - before.publishers,
        subscribers=total.subscribers + after.subscribers - before.subscribers,
    )

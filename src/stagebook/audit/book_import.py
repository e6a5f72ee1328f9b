"""Imports events into a book: stages, sessions, participants and events, with their ids, times and sequence numbers.

The events come in the order of their sequence numbers. Each is checked by itself and against what its participant, its
session and its stage have done before; the first broken rule ends the import, and nothing of it is in the book.

What events do not say is derived: when a session starts and ends (`imported_session.py`), and the row of a participant,
which is what the server would have written (`record_after`). Details of the source replace what is derived.

An event that the book has already is skipped, so a source can be imported again. New events must be newer than all that
the book has, because the order of its log and of its lists is that of the sequence numbers. The memory is that of the
participants of the newest session of each stage, about 2 KB each, and of one group of rows.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from msgspec.structs import replace

from stagebook.audit import book_rules
from stagebook.audit.book_rules import RuleBrokenError
from stagebook.audit.compositions.composition_import import CompositionImport
from stagebook.audit.import_sources.import_source import ImportSummary, Places, SourcedEvent
from stagebook.audit.import_sources.source_details import SourceDetails
from stagebook.audit.imported_session import ImportedParticipant, ImportedSession, SessionImport
from stagebook.audit.participant_audit import Fault, ParticipantAudit, before_events
from stagebook.audit.recordings.recording_audit import RecordingAudit
from stagebook.audit.replication_audit import ReplicationAudit
from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.book.event_log import LoggedEvent
from stagebook.book.sqlite.bulk.book_insertion import BookInsertion
from stagebook.stage.composition.composition import Composition
from stagebook.stage.events import RECORDING_EVENT_NAMES, EventName
from stagebook.stage.resources import ParticipantRecord

EVENTS_PER_GROUP = 1_000
"""How many events are looked up in the book at once."""

_VIEWER_EVENTS = frozenset((EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED))


class BookImport:
    """One import. `places` names the places of events in messages."""

    def __init__(self, insertion: BookInsertion, *, details: SourceDetails, places: Places) -> None:
        self._insertion = insertion
        self._details = details
        self._places = places
        self._newest_before = insertion.last_sequence
        self._last_sequence = 0
        self._replications = ReplicationAudit()
        self.summary = ImportSummary()
        self._sessions = SessionImport(
            insertion, details=details, places=places, replications=self._replications, summary=self.summary
        )
        self._compositions = CompositionImport(insertion, details.compositions, add_stage=self._add_stage)

    def run(self, events: Iterable[SourcedEvent], *, advance: Callable[[int], None] = lambda _: None) -> None:
        """Take all events, in the order of their sequence numbers, and write everything; the caller commits.

        `advance` is called with the number of events so far. Raises RuleBrokenError for what breaks a rule, and
        BookFailedError.
        """
        source = iter(events)
        self._compositions.begin()
        while group := list(islice(source, EVENTS_PER_GROUP)):
            known = self._find_known(group)
            for logged, place in group:
                self._add(logged, place, known.get(logged.sequence))
            self.summary.newest_ms = max(self.summary.newest_ms, group[-1][0].time_ms)
            advance(self.summary.events + self.summary.known_events)
        self._sessions.finish()
        self._compositions.finish()
        self.summary.compositions = self._compositions.count
        self._finish_replications()

    def _find_known(self, group: list[SourcedEvent]) -> dict[int, LogEntry]:
        sequences = [logged.sequence for logged, _ in group if logged.sequence <= self._newest_before]
        return self._insertion.find_events(sequences) if sequences else {}

    def _add(self, logged: LogEntry, place: int, known: LogEntry | None) -> None:
        if logged.sequence <= self._last_sequence:
            raise self._places.event_refusal(
                book_rules.SEQUENCE, "the sequence number is not above that of the event before", place, logged
            )
        self._last_sequence = logged.sequence
        if isinstance(logged, LoggedCompositionEvent):
            self._count(logged, place, known)
            self._add_of_composition(logged, place, is_known=known is not None)
            return
        session = self._sessions.session_of(logged, place)
        self._count(logged, place, known)
        session.known_events += known is not None
        if session.is_finished or (session.has_ended and logged.event.name in RECORDING_EVENT_NAMES):
            self._add_late_recording(session, logged, place, is_known=known is not None)
            return
        self._audit(session, logged, place)
        if known is None:
            self._insert(session, logged, place)

    def _count(self, logged: LogEntry, place: int, known: LogEntry | None) -> None:
        """Count an event that the book has already. Raises RuleBrokenError if it has another one, or a newer one."""
        if known is not None:
            if _without_user(known) != _without_user(logged):
                raise self._places.event_refusal(
                    book_rules.SAME_EVENT, "the book has another event with this number", place, logged
                )
            self.summary.known_events += 1
        elif logged.sequence <= self._newest_before:
            raise self._places.event_refusal(book_rules.NEWER, self._newest_text(), place, logged)

    def _add_of_composition(self, logged: LoggedCompositionEvent, place: int, *, is_known: bool) -> None:
        self.summary.events += not is_known
        for rule, detail in self._compositions.add(logged, is_known=is_known):
            raise self._places.event_refusal(rule, detail, place, logged)

    def _add_stage(self, composition: Composition) -> None:
        arn, account_id = composition.stage_arn, composition.account_id
        if self._sessions.find_or_add_stage(arn, account_id=account_id, created_ms=composition.start_ms) is None:
            raise self._places.refusal(
                book_rules.REFERENCES,
                f"{composition.arn}: the stage is deleted in the book",
                0,
                session=(arn, ""),
            )

    def _add_late_recording(self, session: ImportedSession, logged: LoggedEvent, place: int, *, is_known: bool) -> None:
        """Add an event of a recording whose session has ended, and the next one of the stage has started."""
        if is_known:
            return
        participant_id, audit = logged.participant_id, RecordingAudit(logged.session_id)
        for recorded in self._insertion.participant_events(session.key, participant_id):
            for _ in audit.step(recorded.event):
                pass
        self._require_none([(rule, detail, place) for rule, detail in audit.step(logged.event)], logged)
        number = self._insertion.participant_numbers(session.key).get(participant_id)
        record = None if number is None else self._insertion.find_participant(session.key, number)
        if number is None or record is None:
            raise self._places.event_refusal(book_rules.RECORDINGS, "the participant has no other event", place, logged)
        self.summary.events += 1
        self._insertion.add_event(session.key, number, logged.sequence, logged.event)
        self._insertion.put_participant(session.key, number, audit.applied_to(record))

    def _newest_text(self) -> str:
        return (
            f"the book has events up to sequence number {self._newest_before} and not this one: import it into a data"
            " folder of its own"
        )

    def _insert(self, session: ImportedSession, logged: LoggedEvent, place: int) -> None:
        if session.new_events == 0 and not session.is_new:
            if session.end_ms is not None:
                raise self._places.event_refusal(
                    book_rules.WHOLE_SESSION, "the session has ended in the book", place, logged
                )
            if session.known_events != session.stored_events:
                detail = f"the book has {session.stored_events} events of the session, {session.known_events} are here"
                raise self._places.event_refusal(book_rules.WHOLE_SESSION, detail, place, logged)
        session.new_events += 1
        self.summary.events += 1
        participant = session.participants[logged.participant_id]
        participant.has_new_events = True
        self._insertion.add_event(session.key, participant.number, logged.sequence, logged.event)

    def _audit(self, session: ImportedSession, logged: LoggedEvent, place: int) -> None:
        """Check an event against what its participant and its session have done before."""
        event, time_ms = logged.event, logged.time_ms
        times = self._details.sessions.get(session.id)
        is_over = times is not None and times.is_over(time_ms) and event.name not in RECORDING_EVENT_NAMES
        if time_ms < session.start_ms or is_over:
            raise self._places.event_refusal(
                book_rules.SESSION_TIMES, f"{event.name} is outside its session", place, logged
            )
        if event.name not in RECORDING_EVENT_NAMES:
            session.last_ms = time_ms
        participant = session.participants.get(logged.participant_id)
        if participant is None:
            participant = self._new_participant(session, logged)
        participant.user_id = logged.user_id
        self._require_none(participant.audit.add(event, time_ms, place), logged)
        if event.name in _VIEWER_EVENTS:
            fault = session.viewers.add(logged.participant_id, event, time_ms, place)
            self._require_none([] if fault is None else [fault], logged)
        elif event.name is EventName.PUBLISH_STOPPED:
            session.viewers.note_stop(logged.participant_id, time_ms)
        if event.replica or event.destination is not None:
            self._replications.add(session.id, logged.participant_id, event)

    def _new_participant(self, session: ImportedSession, logged: LoggedEvent) -> ImportedParticipant:
        participant_id = logged.participant_id
        number = session.number(participant_id)
        details = self._details.participants.get((*session.id, participant_id))
        if details is not None:
            before = details.before_events(participant_id)
        else:
            # Of a session that is continued, the row keeps what its events do not say.
            stored = None if session.is_new else self._insertion.find_participant(session.key, number)
            before = ParticipantRecord(participant_id=participant_id) if stored is None else before_events(stored)
        participant = ImportedParticipant(number, ParticipantAudit(before, session_id=logged.session_id))
        session.participants[participant_id] = participant
        self.summary.participants += 1
        return participant

    def _finish_replications(self) -> None:
        """Check and write the replications that have new events at one of their ends."""
        sessions = self._sessions.sessions
        has_session = sessions.__contains__
        for violation in self._replications.end_violations(has_session):
            session = sessions[violation.stage_arn, violation.session_id]
            if session.new_events:
                raise RuleBrokenError(replace(violation, source=self._places.text(session.first_place)))
        for replica in self._replications.replicas(has_session):
            ends = (
                (replica.source_stage_arn, replica.source_session_id),
                (replica.destination_stage_arn, replica.destination_session_id),
            )
            if any(sessions[end].new_events for end in ends):
                self._insertion.put_replica(replica)

    def _require_none(self, faults: Iterable[Fault], logged: LoggedEvent) -> None:
        for fault in faults:
            raise self._places.fault_refusal(fault, (logged.stage_arn, logged.session_id), logged.participant_id)


def _without_user(logged: LogEntry) -> LogEntry:
    """Return an event without the user id: that is the participant's newest one, and may have changed since."""
    return logged if isinstance(logged, LoggedCompositionEvent) else replace(logged, user_id="")

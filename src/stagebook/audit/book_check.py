"""The check of a whole book: every place where it breaks a rule.

The book is read once, session by session and participant by participant (`book_scan.py`), as it was at one moment. The
memory is that of the participants and publications of one session, and of all replications. The time grows with the
number of events.
"""

from collections.abc import Callable, Iterator

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule, Report, Violation
from stagebook.audit.compositions.composition_audit import CompositionAudit
from stagebook.audit.event_form import event_faults, id_faults, participant_id_fault
from stagebook.audit.participant_audit import ParticipantAudit, before_events, row_faults
from stagebook.audit.replication_audit import ReplicationAudit, SessionId
from stagebook.audit.viewer_audit import ViewerAudit
from stagebook.book.book_source import BookSource
from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.event_id import event_id
from stagebook.book.scanning.book_scan import READ_ERRORS, BookScan, about_of
from stagebook.book.scanning.scan_rows import ScannedParticipant, ScannedSession, Undecodable
from stagebook.stage.events import RECORDING_EVENT_NAMES, Event, EventName, ReplicationDestination
from stagebook.stage.resources import (
    ParticipantRecord,
    Replica,
    ReplicationState,
    ReplicationType,
)

_VIEWER_EVENTS = frozenset((EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED))
_REPLICATIONS = frozenset((EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED))


class CheckedBook(msgspec.Struct, kw_only=True, rename="camel"):
    """What a check has read, and how many broken rules it has found."""

    sessions: int = 0
    participants: int = 0
    events: int = 0
    compositions: int = 0
    violations: int = 0


def check_book(
    source: BookSource, report: Report, *, advance: Callable[[CheckedBook], None] = lambda _: None
) -> CheckedBook:
    """Check a book, also while servers are writing it, and report each broken rule.

    `advance` is called after each participant. Raises BookRefusedError for what is no book of this version, and
    BookFailedError for a database that does not answer.
    """
    with BookScan(source) as scan:
        check = _BookCheck(scan, report, advance)
        try:
            check.run()
        except READ_ERRORS as error:
            check.note(book_rules.DATABASE, f"the book cannot be read on: {error}")
        return check.counts


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a violation that say where it is."""

    stage_arn: str = ""
    session_id: str = ""
    participant_id: str = ""


class _BookCheck:
    """One check of a book."""

    def __init__(self, scan: BookScan, report: Report, advance: Callable[[CheckedBook], None]) -> None:
        self._scan = scan
        self._report = report
        self._advance = advance
        self._replications = ReplicationAudit()
        self._known: set[SessionId] = set()
        self._next_starts: dict[int, int] = {}
        """By stage, the start of the session that was read last: the following one of the stage."""
        self._expired = scan.expired_sessions()
        self.counts = CheckedBook()

    def note(self, rule: BookRule, detail: str, place: _Place = _Place(), *, sequence: int = 0) -> None:  # noqa: B008
        """Report a broken rule."""
        event = ""
        if sequence > 0 and place.session_id and place.participant_id:
            event = event_id(sequence, session_id=place.session_id, participant_id=place.participant_id)
        self._send(
            Violation(
                rule=rule.name,
                detail=detail,
                stage_arn=place.stage_arn,
                session_id=place.session_id,
                participant_id=place.participant_id,
                event_id=event,
            )
        )

    def _send(self, violation: Violation) -> None:
        self.counts.violations += 1
        self._report(violation)

    def run(self) -> None:
        """Check everything."""
        for text in self._scan.database_faults():
            self.note(book_rules.DATABASE, text)
        self._check_numbers()
        participants = self._scan.participants()
        waiting = next(participants, None)
        for session in self._scan.sessions():
            while waiting is not None and waiting.session_key > session.key:
                self._check_orphan(waiting)
                waiting = next(participants, None)
            in_session = _SessionCheck(self, session, self._scan)
            self._check_session(session, in_session.place)
            while waiting is not None and waiting.session_key == session.key:
                in_session.add(waiting)
                self._advance(self.counts)
                waiting = next(participants, None)
        while waiting is not None:
            self._check_orphan(waiting)
            waiting = next(participants, None)
        self._check_replications()
        self._check_compositions()
        for participant_id in self._scan.revocations_of_no_stage():
            self.note(book_rules.REFERENCES, f"the revocation of {participant_id} has no stage")
        for fault in self._scan.undecodable_stages():
            self.note(book_rules.VALUES, fault.reason)
        for fault in self._scan.undecodable_resources():
            self.note(book_rules.VALUES, fault.reason)

    def note_event(self, session: SessionId, participant_id: str, event: Event) -> None:
        """Count an event of a replication."""
        self._replications.add(session, participant_id, event)

    def note_replica(self, session: SessionId, record: ParticipantRecord) -> None:
        """Take the row of a replica."""
        self._replications.note_source(session, record)

    def _check_numbers(self) -> None:
        last, newest, end_ms = self._scan.newest()
        if last is None:
            self.note(book_rules.LAST_SEQUENCE, "the book has no last sequence number")
        elif last < max(newest, end_ms << SEQUENCE_TIME_SHIFT):
            self.note(book_rules.LAST_SEQUENCE, f"the last sequence number is {last}, that of the newest {newest}")
        for sequence, count in self._scan.double_sequences():
            self.note(book_rules.SEQUENCE, f"{count} events have sequence number {sequence}")

    def _check_session(self, session: ScannedSession, place: _Place) -> None:
        self.counts.sessions += 1
        self._known.add((place.stage_arn, session.session_id))
        if session.stage_arn is None:
            self.note(book_rules.REFERENCES, "the session has no stage", place)
        else:
            for rule, detail in id_faults(session.stage_arn, session.session_id, account_id=session.account_id):
                self.note(rule, detail, place)
        if session.end_ms is not None and session.end_ms < session.start_ms:
            self.note(book_rules.SESSION_TIMES, "the session ends before it starts", place)
        next_start_ms = self._next_starts.get(session.stage_key)
        if next_start_ms is not None and (session.end_ms is None or session.end_ms > next_start_ms):
            self.note(book_rules.ONE_SESSION, "the next session of the stage starts before this one ends", place)
        self._next_starts[session.stage_key] = session.start_ms

    def _check_orphan(self, participant: ScannedParticipant) -> None:
        """Check rows whose session does not exist: they must be those that retention is about to delete."""
        if participant.session_key not in self._expired:
            record = participant.record
            name = record.participant_id if isinstance(record, ParticipantRecord) else f"number {participant.number}"
            place = _Place(participant_id=record.participant_id if isinstance(record, ParticipantRecord) else "")
            self.note(book_rules.REFERENCES, f"the session of participant {name} does not exist", place)

    def _check_compositions(self) -> None:
        for composition, events in self._scan.compositions():
            self.counts.compositions += 1
            if isinstance(composition, Undecodable):
                self.note(book_rules.VALUES, f"a composition cannot be read: {composition.reason}")
                continue
            place = _Place(stage_arn=composition.stage_arn)
            audit = CompositionAudit(composition)
            for entry in events:
                self.counts.events += 1
                if isinstance(entry, Undecodable):
                    self.note(book_rules.VALUES, f"an event of {composition.arn} cannot be read: {entry.reason}", place)
                    continue
                for rule, detail in audit.add(entry):
                    self.note(rule, f"{composition.arn}: {detail} (event {entry.event_id})", place)
            for rule, detail in audit.row_faults():
                self.note(rule, f"{composition.arn}: {detail}", place)
        for sequence in self._scan.events_of_no_composition():
            self.note(book_rules.REFERENCES, f"the event with sequence number {sequence} has no composition")

    def _check_replications(self) -> None:
        active: list[Replica] = []
        for replica in self._scan.replicas():
            if isinstance(replica, Undecodable):
                self.note(book_rules.REFERENCES, replica.reason)
            elif replica.state is ReplicationState.ACTIVE:
                active.append(replica)
        for violation in self._replications.end_violations(self._known.__contains__):
            self._send(violation)
        for violation in self._replications.row_violations(active, self._known.__contains__):
            self._send(violation)


class _SessionCheck:
    """The check of the participants of one session."""

    def __init__(self, check: _BookCheck, session: ScannedSession, scan: BookScan) -> None:
        self._check = check
        self._session = session
        self.place = _Place(stage_arn=session.stage_arn or "", session_id=session.session_id)
        self._id: SessionId = (self.place.stage_arn, session.session_id)
        self._viewers = ViewerAudit(scan.publication_stops(session.key))
        self._open_recordings = scan.open_recordings

    def add(self, participant: ScannedParticipant) -> None:
        """Check one participant."""
        check, record = self._check, participant.record
        check.counts.participants += 1
        if not isinstance(record, ParticipantRecord):
            if record is None:
                check.note(
                    book_rules.REFERENCES, f"events have no participant (number {participant.number})", self.place
                )
            else:
                check.note(book_rules.VALUES, f"a participant cannot be read: {record.reason}", self.place)
            return
        place = msgspec.structs.replace(self.place, participant_id=record.participant_id)
        if fault := participant_id_fault(record.participant_id):
            check.note(book_rules.IDS, fault, place)
        if record.replication_type is ReplicationType.REPLICA:
            check.note_replica(self._id, record)
        audit = ParticipantAudit(before_events(record), session_id=self._session.session_id)
        for entry in participant.events:
            self._check_event(entry, audit, place)
        for rule, detail, sequence in audit.settle():
            check.note(rule, detail, place, sequence=sequence)
        for rule, detail, sequence in self._viewers.settle(record.participant_id):
            check.note(rule, detail, place, sequence=sequence)
        for rule, detail in self._faults_of_end(participant, audit, record):
            check.note(rule, detail, place)

    def _check_event(self, entry: RecordedEvent | Undecodable, audit: ParticipantAudit, place: _Place) -> None:
        check = self._check
        check.counts.events += 1
        if isinstance(entry, Undecodable):
            check.note(book_rules.VALUES, f"an event cannot be read: {entry.reason}", place, sequence=entry.sequence)
            return
        event, sequence, time_ms = entry.event, entry.sequence, entry.time_ms
        for rule, detail in event_faults(event):
            check.note(rule, detail, place, sequence=sequence)
        session = self._session
        is_over = session.end_ms is not None and time_ms > session.end_ms and event.name not in RECORDING_EVENT_NAMES
        if time_ms < session.start_ms or is_over:
            check.note(book_rules.SESSION_TIMES, f"{event.name} is outside its session", place, sequence=sequence)
        for rule, detail, mark in audit.add(event, time_ms, sequence):
            check.note(rule, detail, place, sequence=mark)
        if event.name in _VIEWER_EVENTS:
            fault = self._viewers.add(place.participant_id, event, time_ms, sequence)
            if fault is not None:
                check.note(fault[0], fault[1], place, sequence=fault[2])
        elif event.replica or event.name in _REPLICATIONS:
            check.note_event(self._id, place.participant_id, event)

    def _faults_of_end(
        self, participant: ScannedParticipant, audit: ParticipantAudit, record: ParticipantRecord
    ) -> Iterator[tuple[BookRule, str]]:
        yield from row_faults(record, audit.record)
        is_open = (participant.session_key, participant.number) in self._open_recordings
        yield from audit.recordings.row_faults(record, is_open=is_open)
        if self._session.end_ms is not None:
            yield from audit.close()
        expected = {
            (name, _about(name, about)): count
            for (name, about), count in audit.open_starts.items()
            if self._session.end_ms is None
        }
        if expected != participant.open_events:
            yield book_rules.OPEN_EVENTS, f"{_shown(participant.open_events)}, its events say {_shown(expected)}"


def _about(name: EventName, about: str | ReplicationDestination | None) -> str:
    if isinstance(about, ReplicationDestination):
        return about_of(Event(name=name, destination=about))
    return about_of(Event(name=name, remote_participant_id=about))


def _shown(open_events: dict[tuple[EventName, str], int]) -> str:
    names = sorted(f"{name.value}{f' of {about}' if about else ''}" for name, about in open_events)
    return ", ".join(names) if names else "nothing is open"

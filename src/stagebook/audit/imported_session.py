"""The sessions of an import, their participants, and how they begin and end in the book.

What events do not say is derived: a session starts with its first event and ends with its last one, unless a
participant is still on the stage. Details of the source replace what is derived.
"""

from msgspec.structs import replace

from stagebook.audit import book_rules
from stagebook.audit.import_sources.import_source import ImportSummary, Places
from stagebook.audit.import_sources.source_details import SourceDetails
from stagebook.audit.participant_audit import ParticipantAudit
from stagebook.audit.replication_audit import ReplicationAudit, SessionId
from stagebook.audit.viewer_audit import ViewerAudit
from stagebook.book.event_log import LoggedEvent
from stagebook.book.sqlite.bulk.book_insertion import BookInsertion
from stagebook.stage.events import RECORDING_EVENT_NAMES
from stagebook.stage.resources import ParticipantRecord, ReplicationType, Stage, StageSession


class ImportedParticipant:
    """A participant of a session. `user_id` is that of its newest event."""

    __slots__ = ("audit", "has_new_events", "number", "user_id")

    def __init__(self, number: int, audit: ParticipantAudit) -> None:
        self.number = number
        self.audit = audit
        self.user_id = ""
        self.has_new_events = False


class ImportedSession:
    """A session. `first_place` is the place of its first event; the times are milliseconds since the epoch."""

    __slots__ = (
        *("end_ms", "first_place", "id", "is_finished", "is_new", "key", "known_events", "last_ms", "new_events"),
        *("numbers", "participants", "stage_key", "start_ms", "stored_events", "viewers"),
    )

    def __init__(self, session_id: SessionId, *, key: int, stage_key: int, start_ms: int, place: int) -> None:
        self.id = session_id
        self.key = key
        self.stage_key = stage_key
        self.start_ms = start_ms
        self.first_place = place
        self.last_ms = start_ms
        self.end_ms: int | None = None
        self.is_new = True
        """Whether the book did not have it at the start."""
        self.is_finished = False
        self.stored_events = 0
        """How many events the book had of it at the start. The source has `known_events` of these so far."""
        self.known_events = self.new_events = 0
        self.numbers: dict[str, int] = {}
        """The numbers of all participants by their ids, also of those that only the book has."""
        self.participants: dict[str, ImportedParticipant] = {}
        self.viewers = ViewerAudit()

    @property
    def has_ended(self) -> bool:
        """Whether the book had its end at the start."""
        return not self.is_new and self.end_ms is not None and not self.new_events

    @property
    def value(self) -> StageSession:
        """The session as the book stores it."""
        return StageSession(stage_arn=self.id[0], session_id=self.id[1], start_ms=self.start_ms, end_ms=self.end_ms)

    def participant_on_stage(self) -> str | None:
        """Return a participant that is on the stage or replicated, None if there is none."""
        return next((name for name, each in self.participants.items() if each.audit.is_open), None)

    def number(self, participant_id: str) -> int:
        """Return the number of a participant; a new one gets the next."""
        return self.numbers.setdefault(participant_id, len(self.numbers) + 1)

    def forget_participants(self) -> None:
        """Forget what is needed only while events of the session may follow."""
        self.is_finished = True
        self.participants, self.numbers, self.viewers = {}, {}, ViewerAudit()


class SessionImport:
    """The stages and sessions of one import. It begins them in the book, and ends a session before the next one of its
    stage begins, or at the end of the source.
    """

    def __init__(
        self,
        insertion: BookInsertion,
        *,
        details: SourceDetails,
        places: Places,
        replications: ReplicationAudit,
        summary: ImportSummary,
    ) -> None:
        """`summary` is counted up."""
        self._insertion = insertion
        self._details = details
        self._places = places
        self._replications = replications
        self._summary = summary
        self.sessions: dict[SessionId, ImportedSession] = {}
        """All sessions of the source so far."""
        self._last_of_stage: dict[str, ImportedSession] = {}
        self._stage_keys: dict[str, int] = {}

    def session_of(self, logged: LoggedEvent, place: int) -> ImportedSession:
        """Return the session of an event; begin it if the source has not named it before. Raises RuleBrokenError."""
        session_id = (logged.stage_arn, logged.session_id)
        session = self.sessions.get(session_id)
        if session is None:
            session = self.sessions[session_id] = self._begin_session(session_id, logged, place)
            self._summary.sessions += 1
        elif session.is_finished and logged.event.name not in RECORDING_EVENT_NAMES:
            raise self._places.event_refusal(
                book_rules.ONE_SESSION, "another session of the stage has started since", place, logged
            )
        return session

    def finish(self) -> None:
        """Check and write what is known only at the end of the source. Raises RuleBrokenError."""
        for session in self.sessions.values():
            self._finish(session)

    def _begin_session(self, session_id: SessionId, logged: LoggedEvent, place: int) -> ImportedSession:
        """Return a session that the source has not named before: of the book, or a new one."""
        self._end_previous(logged, place)
        times = self._details.sessions.get(session_id)
        start_ms = logged.time_ms if times is None else times.start_ms
        if start_ms > logged.time_ms:
            raise self._places.event_refusal(
                book_rules.SESSION_TIMES, "the session starts after its first event", place, logged
            )
        stage_key = self._stage_key(logged, place, created_ms=start_ms)
        session = ImportedSession(session_id, key=0, stage_key=stage_key, start_ms=start_ms, place=place)
        self._last_of_stage[logged.stage_arn] = session
        stored = self._insertion.find_session(stage_key, logged.session_id)
        if stored is not None:
            session.key, session.start_ms, session.end_ms = stored.key, stored.start_ms, stored.end_ms
            session.is_new = False
            session.stored_events = self._insertion.count_events(stored.key)
            session.numbers = self._insertion.participant_numbers(stored.key)
            return session
        last = self._insertion.last_session(stage_key)
        if last is not None and (last[1] is None or last[1] > start_ms):
            detail = f"session {last[0]} of the stage, which the book has, does not end before this one starts"
            raise self._places.event_refusal(book_rules.ONE_SESSION, detail, place, logged)
        session.key = self._insertion.add_session()
        # Written now, so that the next session of the stage finds it; its end is written later.
        self._insertion.put_session(session.key, stage_key, session.value)
        return session

    def _end_previous(self, logged: LoggedEvent, place: int) -> None:
        """End the session of the stage that the source had before, so that another one may start."""
        previous = self._last_of_stage.get(logged.stage_arn)
        if previous is None:
            return
        self._settle(previous)
        still = previous.participant_on_stage()
        if still is not None and previous.new_events:
            detail = f"session {previous.id[1]} of the stage has not ended: participant {still} has not left"
            raise self._places.event_refusal(book_rules.ONE_SESSION, detail, place, logged)
        self._finish(previous)

    def _stage_key(self, logged: LoggedEvent, place: int, *, created_ms: int) -> int:
        key = self.find_or_add_stage(logged.stage_arn, account_id=logged.account_id, created_ms=created_ms)
        if key is None:
            raise self._places.event_refusal(book_rules.REFERENCES, "the stage is deleted in the book", place, logged)
        return key

    def find_or_add_stage(self, arn: str, *, account_id: str, created_ms: int) -> int | None:
        """Return the key of a stage, which is added if the book does not have it; None if it is deleted there."""
        key = self._stage_keys.get(arn)
        if key is None:
            stored = self._insertion.find_stage(arn)
            if stored is not None and stored.is_deleted:
                return None
            stage = self._stage(arn, account_id, created_ms)
            key = self._insertion.add_stage(stage) if stored is None else stored.key
            self._stage_keys[arn] = key
            self._summary.account_ids.add(account_id)
            self._summary.stages += 1
        return key

    def _stage(self, arn: str, account_id: str, created_ms: int) -> Stage:
        details = self._details.stages.get(arn)
        return Stage(
            arn=arn,
            account_id=account_id,
            name="" if details is None else details.name,
            tags={} if details is None else dict(details.tags),
            created_ms=created_ms,
        )

    def _settle(self, session: ImportedSession) -> None:
        """Check the newest events of all participants, of which more could have followed until now."""
        for participant_id, participant in session.participants.items():
            faults = participant.audit.settle()
            if faults:
                raise self._places.fault_refusal(faults[0], session.id, participant_id)

    def _finish(self, session: ImportedSession) -> None:
        """Check and write what is known only at the end of a session, or of the source; forget the participants."""
        if session.new_events and not session.is_finished:
            self._settle(session)
            for viewer_id, fault in session.viewers.settle_all():
                raise self._places.fault_refusal(fault, session.id, viewer_id)
            self._write_end(session)
            for participant_id, participant in session.participants.items():
                if participant.has_new_events:
                    record = self._record(session, participant_id, participant)
                    self._insertion.put_participant(session.key, participant.number, record)
        session.forget_participants()

    def _write_end(self, session: ImportedSession) -> None:
        """Write the end of a session, if nobody is on its stage."""
        times = self._details.sessions.get(session.id)
        still = session.participant_on_stage()
        if still is None:
            given_ms = 0 if times is None or times.end_ms is None else times.end_ms
            session.end_ms = max(session.last_ms, given_ms)
            self._summary.newest_ms = max(self._summary.newest_ms, session.end_ms)
            self._insertion.put_session(session.key, session.stage_key, session.value)
        elif times is not None and times.end_ms is not None:
            raise self._places.refusal(
                book_rules.CLOSED,
                "the session has ended, and the participant has not left",
                times.place,
                session=session.id,
                participant_id=still,
            )

    def _record(
        self, session: ImportedSession, participant_id: str, participant: ImportedParticipant
    ) -> ParticipantRecord:
        """Return the row of a participant. Raises RuleBrokenError if the details say something else than the events."""
        record = replace(participant.audit.record, user_id=participant.user_id)
        if record.replication_type is ReplicationType.REPLICA and record.source_stage_arn is None:
            source = self._replications.source_of(session.id, participant_id)
            if source is not None:
                record = replace(record, source_stage_arn=source[0], source_session_id=source[1])
        details = self._details.participants.get((*session.id, participant_id))
        if details is None:
            return record
        contradiction = details.contradiction(record)
        if contradiction is not None:
            raise self._places.refusal(
                book_rules.ROW,
                contradiction,
                details.place,
                session=session.id,
                participant_id=participant_id,
            )
        return details.applied_to(record)

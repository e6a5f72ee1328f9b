"""Replications of a book: the events of their two ends, and their rows.

A replication runs from REPLICATION_STARTED to REPLICATION_STOPPED of the participant in the source session. Its replica
is in the destination session from JOINED to LEFT. The ends are events of different sessions, so they are counted while
sessions are read, and compared at the end. An end whose session the book does not have (deleted by age, or not
imported) is not expected.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.book_rules import Violation
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, Replica, ReplicationState

SessionId: TypeAlias = tuple[str, str]
"""The ARN of a stage and the id of a session."""

_STARTED, _STOPPED = EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED
_JOINED, _LEFT = EventName.JOINED, EventName.LEFT


class _Ends(msgspec.Struct):
    """What the events say of one participant in one destination session."""

    starts: int = 0
    stops: int = 0
    joins: int = 0
    leaves: int = 0
    source: SessionId | None = None

    @property
    def runs(self) -> bool:
        return self.starts > self.stops

    @property
    def is_present(self) -> bool:
        return self.joins > self.leaves


class ReplicationAudit:
    """Counts the ends of all replications. It keeps one entry for each participant and destination session."""

    def __init__(self) -> None:
        self._ends: dict[tuple[SessionId, str], _Ends] = {}

    def add(self, session: SessionId, participant_id: str, event: Event) -> None:
        """Take an event."""
        destination = event.destination
        if destination is not None:
            ends = self._find((destination.stage_arn, destination.session_id), participant_id)
            ends.source = session
            ends.starts += event.name is _STARTED
            ends.stops += event.name is _STOPPED
        elif event.replica and (event.name is _JOINED or event.name is _LEFT):
            ends = self._find(session, participant_id)
            ends.joins += event.name is _JOINED
            ends.leaves += event.name is _LEFT

    def note_source(self, session: SessionId, record: ParticipantRecord) -> None:
        """Take the row of a replica in its destination session."""
        if record.source_stage_arn is not None and record.source_session_id is not None:
            self._find(session, record.participant_id).source = (record.source_stage_arn, record.source_session_id)

    def source_of(self, session: SessionId, participant_id: str) -> SessionId | None:
        """Return the source session of a replica in a destination session, as far as it is known."""
        ends = self._ends.get((session, participant_id))
        return None if ends is None else ends.source

    def replicas(self, has_session: Callable[[SessionId], bool]) -> Iterator[Replica]:
        """Yield the rows that the events of source sessions lead to, of replications with two known sessions."""
        for (session, participant_id), ends in self._ends.items():
            if ends.starts and ends.source is not None and has_session(session) and has_session(ends.source):
                yield Replica(
                    source_stage_arn=ends.source[0],
                    source_session_id=ends.source[1],
                    participant_id=participant_id,
                    destination_stage_arn=session[0],
                    destination_session_id=session[1],
                    state=ReplicationState.ACTIVE if ends.runs else ReplicationState.STOPPED,
                )

    def end_violations(self, has_session: Callable[[SessionId], bool]) -> Iterator[Violation]:
        """Yield the replications whose ends differ."""
        for (session, participant_id), ends in self._ends.items():
            if has_session(session) and (ends.runs and not ends.is_present):
                yield _violation(session, participant_id, "a replication runs without its replica")
            elif has_session(session) and ends.starts > ends.joins:
                yield _violation(session, participant_id, "a replication has started without its replica")
            elif ends.is_present and not ends.runs and ends.source is not None and has_session(ends.source):
                yield _violation(session, participant_id, "a replica is on the stage without its replication")

    def row_violations(
        self, active: Iterable[Replica], has_session: Callable[[SessionId], bool]
    ) -> Iterator[Violation]:
        """Yield the differences between the rows in state ACTIVE and the events."""
        rows = {((row.destination_stage_arn, row.destination_session_id), row.participant_id): row for row in active}
        for key, ends in self._ends.items():
            row = rows.pop(key, None)
            if ends.runs and row is None and has_session(key[0]):
                yield _violation(*key, "a replication runs, and its row is not ACTIVE")
            elif not ends.runs and row is not None and ends.starts:
                yield _violation(*key, "the row of a replication is ACTIVE, and the replication has stopped")
        for session, participant_id in rows:
            yield _violation(session, participant_id, "the row of a replication is ACTIVE, and no event started it")

    def _find(self, session: SessionId, participant_id: str) -> _Ends:
        return self._ends.setdefault((session, participant_id), _Ends())


def _violation(session: SessionId, participant_id: str, detail: str) -> Violation:
    return Violation(
        rule=book_rules.REPLICATION_ENDS.name,
        detail=detail,
        stage_arn=session[0],
        session_id=session[1],
        participant_id=participant_id,
    )

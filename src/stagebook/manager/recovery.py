"""Closes what the last run left open: one LEFT for every JOINED, also across a crash, and one REPLICATION_STOPPED for
every REPLICATION_STARTED.

What was open is read from the events themselves, so there is no second record that could disagree with them.
"""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from stagebook.book.changes import AppendEvent, Change, EndSession, PutParticipant, PutReplica
from stagebook.book.store import Book, ParticipantFilter
from stagebook.stage.events import Cause
from stagebook.stage.facts import Gone
from stagebook.stage.participant import step
from stagebook.stage.projection import record_after
from stagebook.stage.replay import replay
from stagebook.stage.resources import ParticipantRecord, Replica, ReplicationState, StageSession

DETAIL = "the server stopped without closing this session"
PAGE_SIZE = 1_000
_EVERYBODY = ParticipantFilter()


async def recover(book: Book, *, now_ms: Callable[[], int], linger_ms: int) -> int:
    """Close every open session in the book; return how many there were.

    Participants still connected get their *_STOPPED and LEFT now, with the cause crash_recovery. A session in which
    nobody was left ends when its linger would have been over. Each session is one transaction; those that replications
    tie together are one in all, so that no second crash can close one end of a replication without the other.
    """
    sessions = book.list_open_sessions()
    replicas = book.list_active_replicas()
    ties = {end for replica in replicas for end in (_source(replica), _destination(replica))}
    tied: list[Change] = [PutReplica(replica=replace(replica, state=ReplicationState.STOPPED)) for replica in replicas]
    for session in sessions:
        changes = _close(book, session, replicas, at_ms=now_ms(), linger_ms=linger_ms)
        if (session.stage_arn, session.session_id) in ties:
            tied += changes
        else:
            await book.submit(changes).durable
    if tied:
        await book.submit(tied).durable
    return len(sessions)


def _source(replica: Replica) -> tuple[str, str]:
    return replica.source_stage_arn, replica.source_session_id


def _destination(replica: Replica) -> tuple[str, str]:
    return replica.destination_stage_arn, replica.destination_session_id


def _close(
    book: Book, session: StageSession, replicas: Iterable[Replica], *, at_ms: int, linger_ms: int
) -> list[Change]:
    changes: list[Change] = []
    for record in _open_participants(book, session, replicas):
        changes += _close_participant(book, session, record, at_ms=at_ms)
    if not changes:
        at_ms = min(at_ms, _last_event_ms(book, session) + linger_ms)
    changes.append(EndSession(stage_arn=session.stage_arn, session_id=session.session_id, end_ms=at_ms))
    return changes


def _open_participants(book: Book, session: StageSession, replicas: Iterable[Replica]) -> list[ParticipantRecord]:
    """Return who is connected, and who is away while a replication waits for it."""
    where = (session.stage_arn, session.session_id)
    found = {record.participant_id: record for record in book.list_connected_participants(*where)}
    for replica in replicas:
        if _source(replica) == where and replica.participant_id not in found:
            record = book.get_participant(*where, replica.participant_id)
            if record is not None:
                found[replica.participant_id] = record
    return list(found.values())


def _close_participant(book: Book, session: StageSession, record: ParticipantRecord, *, at_ms: int) -> list[Change]:
    recorded = book.list_events(session.stage_arn, session.session_id, record.participant_id)
    open_part = replay([entry.event for entry in recorded])
    fact = Gone(
        connection_ids=tuple(open_part.connections),
        replication_ids=tuple(open_part.replications),
        cause=Cause.CRASH_RECOVERY,
        detail=DETAIL,
    )
    events = step(open_part, fact).events
    after = record_after(record, events, at_ms=at_ms, protocol=record.protocol)
    where = {"stage_arn": session.stage_arn, "session_id": session.session_id}
    changes: list[Change] = [PutParticipant(participant=after, **where)]
    changes += [
        AppendEvent(participant_id=record.participant_id, event=event, at_ms=at_ms, **where) for event in events
    ]
    return changes


def _last_event_ms(book: Book, session: StageSession) -> int:
    last_ms = session.start_ms
    position: int | None = None
    while True:
        page = book.list_participants(
            session.stage_arn, session.session_id, where=_EVERYBODY, after=position, limit=PAGE_SIZE
        )
        for record in page.items:
            recorded = book.list_events(session.stage_arn, session.session_id, record.participant_id)
            last_ms = max([last_ms, *(entry.time_ms for entry in recorded)])
        position = page.next_position
        if position is None:
            return last_ms

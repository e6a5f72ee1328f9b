"""Closes what the last run left open: one LEFT for every JOINED, even across a crash.

What was open is read from the events themselves, so there is no second record that could disagree with them.
"""

from collections.abc import Callable

from stagebook.book.port import AppendEvent, Book, Change, EndSession, ParticipantFilter, PutParticipant
from stagebook.stage.events import Cause, EventName
from stagebook.stage.facts import Gone
from stagebook.stage.participant import step
from stagebook.stage.projection import record_after
from stagebook.stage.replay import replay
from stagebook.stage.resources import ParticipantRecord, StageSession

DETAIL = "the server stopped without closing this session"
PAGE_SIZE = 1_000
_EVERYBODY = ParticipantFilter()


async def recover(book: Book, *, now_ms: Callable[[], int], linger_ms: int) -> int:
    """Close every open session in the book, each in one transaction; return how many there were.

    Participants still connected get their *_STOPPED and LEFT now, with the cause crash_recovery. A session in which
    nobody was left ends when its linger would have been over.
    """
    open_sessions = book.list_open_sessions()
    for session in open_sessions:
        changes: list[Change] = []
        at_ms = now_ms()
        for record in book.list_connected_participants(session.stage_arn, session.session_id):
            changes += _close_participant(book, session, record, at_ms=at_ms)
        if not changes:
            at_ms = min(at_ms, _last_left_ms(book, session) + linger_ms)
        changes.append(EndSession(stage_arn=session.stage_arn, session_id=session.session_id, end_ms=at_ms))
        await book.submit(changes).durable
    return len(open_sessions)


def _close_participant(book: Book, session: StageSession, record: ParticipantRecord, *, at_ms: int) -> list[Change]:
    recorded = book.list_events(session.stage_arn, session.session_id, record.participant_id)
    open_part = replay([entry.event for entry in recorded])
    fact = Gone(connection_ids=tuple(open_part.connections), cause=Cause.CRASH_RECOVERY, detail=DETAIL)
    events = step(open_part, fact).events
    after = record_after(record, events, at_ms=at_ms, protocol=record.protocol)
    where = {"stage_arn": session.stage_arn, "session_id": session.session_id}
    changes: list[Change] = [PutParticipant(participant=after, **where)]
    changes += [
        AppendEvent(participant_id=record.participant_id, event=event, at_ms=at_ms, **where) for event in events
    ]
    return changes


def _last_left_ms(book: Book, session: StageSession) -> int:
    last_ms = session.start_ms
    position: int | None = None
    while True:
        page = book.list_participants(
            session.stage_arn, session.session_id, where=_EVERYBODY, after=position, limit=PAGE_SIZE
        )
        for record in page.items:
            recorded = book.list_events(session.stage_arn, session.session_id, record.participant_id)
            last_ms = max([last_ms, *(e.time_ms for e in recorded if e.event.name is EventName.LEFT)])
        position = page.next_position
        if position is None:
            return last_ms

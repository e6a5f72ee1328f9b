"""Closes what an interrupted run left open.

Each JOINED gets its LEFT, and each REPLICATION_STARTED its REPLICATION_STOPPED. Each recording that ran has failed,
unless its journal says that it had ended.

What was open is derived from the events that nothing has ended, which the book finds without reading the others. So
the time of a start depends on how much was open, not on how much had happened. Participants that
were connected get their *_STOPPED and LEFT with the cause crash_recovery and the time of the restart: the book does not
contain when the server stopped, and events must be in order of time. A session that only lingered ends when its linger
was over.

A session is closed in transactions of `PARTICIPANTS_PER_READ` participants; the last one ends the session. Sessions
that replications tie together are closed in one transaction all together, so that a second crash cannot close one end
of a replication without the other.

The server accepts no requests until recovery is done, so it must be quick even if tens of thousands of participants
were on stage. Transactions are submitted without waiting for the one before: the book writes them while the next ones
are decided, many with one sync to disk. `SUBMITTED_CHANGES` bounds the memory of those that wait. A crash during
recovery leaves the remaining participants and sessions to the next start.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from msgspec.structs import replace

from stagebook.book.book_values import OpenParticipant, Page
from stagebook.book.changes import AppendEvent, Change, EndSession, PutParticipant, PutReplica
from stagebook.book.decision_book import DecisionBook
from stagebook.book.store import BookReader
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.events import Cause
from stagebook.stage.participant.event_replay import replay
from stagebook.stage.participant.participant_facts import Gone
from stagebook.stage.participant.participant_machine import step
from stagebook.stage.participant.record_projection import record_after
from stagebook.stage.resources import Replica, ReplicationState, StageSession

DETAIL = "the server stopped without closing this session"
_CRASH_RECOVERY = Cause.CRASH_RECOVERY
PARTICIPANTS_PER_READ = 1_000
"""Participants whose open events are in memory at the same time, and that are closed in one transaction."""
SUBMITTED_CHANGES = 100_000
"""Changes that are submitted before recovery waits until they are durable: some tens of megabytes of rows."""


async def recover(
    unit: UnitOfWork,
    *,
    account_id: str | None = None,
    recordings: Sequence[Change] = (),
    leaves_open: Callable[[str], bool] = lambda _stage_arn: False,
) -> int:
    """Close each open session in the book; return how many there were. `recordings` end the recordings that ran.

    With `account_id`, those of one account: other accounts may be in use. The sessions of a stage for whose ARN
    `leaves_open` returns True stay open, and do not count.

    Returns when all of it is durable. Must run before any session of the account is opened. Raises BookFailedError if
    the book fails.
    """
    book, linger_ms = unit.book, unit.rules.linger_ms
    opened = await book.read(account_id, lambda reader: reader.list_open_sessions(account_id=account_id))
    sessions = [session for session in opened if not leaves_open(session.stage_arn)]
    replicas = await book.read(account_id, lambda reader: reader.list_active_replicas(account_id=account_id))
    ties = {end for replica in replicas for end in (_source(replica), _destination(replica))}
    tied: list[Change] = [PutReplica(replica=replace(replica, state=ReplicationState.STOPPED)) for replica in replicas]
    # First, so that a crash in between leaves no recording of a participant that has left.
    if recordings:
        unit.submit(list(recordings))
    submitted = len(recordings)
    for session in sessions:
        parts = _close(book, session, account_id=account_id, at_ms=unit.now().wall_ms, linger_ms=linger_ms)
        if (session.stage_arn, session.session_id) in ties:
            # Kept back for the common transaction at the end, with the rows of the replications.
            tied += [change async for changes in parts for change in changes]
            continue
        async for changes in parts:
            durable = unit.submit(changes)
            submitted += len(changes)
            if submitted >= SUBMITTED_CHANGES:
                await durable
                submitted = 0
            else:
                await asyncio.sleep(0)  # the engine processes start meanwhile
    if tied or submitted:
        # Transactions become durable in the order of submission: the last one stands for all before it.
        await unit.submit(tied)
    return len(sessions)


def _source(replica: Replica) -> tuple[str, str]:
    return replica.source_stage_arn, replica.source_session_id


def _destination(replica: Replica) -> tuple[str, str]:
    return replica.destination_stage_arn, replica.destination_session_id


async def _close(
    book: DecisionBook, session: StageSession, *, account_id: str | None, at_ms: int, linger_ms: int
) -> AsyncIterator[list[Change]]:
    """Yield the changes that close a session, in parts. The last part ends it."""
    where = (session.stage_arn, session.session_id)
    is_empty, position = True, None
    while True:
        read = partial(_read_open_participants, where=where, after=position)
        page = await book.read(account_id, read)
        changes: list[Change] = []
        for participant in page.items:
            changes += _close_participant(session, participant, at_ms=at_ms)
        is_empty, position = is_empty and not changes, page.next_position
        if position is None:
            break
        yield changes
    if is_empty:
        # All participants had left: the session lingered, counted from its last event. Its end must not be later than
        # the restart, when the linger may not be over yet.
        last_ms = await book.read(account_id, lambda reader: reader.last_event_ms(*where))
        at_ms = min(at_ms, (session.start_ms if last_ms is None else max(session.start_ms, last_ms)) + linger_ms)
    changes.append(EndSession(stage_arn=session.stage_arn, session_id=session.session_id, end_ms=at_ms))
    yield changes


def _read_open_participants(reader: BookReader, *, where: tuple[str, str], after: int | None) -> Page[OpenParticipant]:
    return reader.list_open_participants(*where, after=after, limit=PARTICIPANTS_PER_READ)


def _close_participant(session: StageSession, participant: OpenParticipant, *, at_ms: int) -> list[Change]:
    record = participant.record
    open_part = replay([entry.event for entry in participant.events])
    fact = Gone(
        connection_ids=tuple(open_part.connections),
        replication_ids=tuple(open_part.replications),
        cause=_CRASH_RECOVERY,
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

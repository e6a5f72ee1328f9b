"""The rules of the book, checked from outside: only through the book's reader and what clients receive.

`check_state` holds at every moment, `check_end` once all sessions are closed. `Observer` checks each response, snapshot
and farewell at the moment at which a client receives it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from stagebook.book.book_errors import BookFailedError
from stagebook.book.book_values import ParticipantFilter, RecordedEvent
from stagebook.book.store import BookReader
from stagebook.manager.presence.watchers import PresentParticipant
from stagebook.stage.events import RECORDING_EVENT_NAMES, EventName, ReplicationDestination
from stagebook.stage.resources import (
    ParticipantRecord,
    ParticipantState,
    ReplicationState,
    ReplicationType,
    StageSession,
)

REPLICA_EVENTS = {EventName.JOINED, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, EventName.LEFT}
LIMIT = 10_000


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One participant of one session: its row, its events, and those of its recordings, oldest first."""

    session: StageSession
    record: ParticipantRecord
    events: list[RecordedEvent]
    recordings: list[RecordedEvent]

    @property
    def names(self) -> list[EventName]:
        """The names of the events."""
        return [entry.event.name for entry in self.events]


def histories(book: BookReader, stage_arns: list[str]) -> list[History]:
    """Return everything that the book holds about some stages."""
    found = []
    for stage_arn in stage_arns:
        for session in book.list_sessions(stage_arn, after=None, limit=LIMIT).items:
            where = (stage_arn, session.session_id)
            for record in book.list_participants(*where, where=ParticipantFilter(), after=None, limit=LIMIT).items:
                events = book.list_events(*where, record.participant_id)
                found.append(
                    History(
                        session=session,
                        record=record,
                        events=[each for each in events if each.event.name not in RECORDING_EVENT_NAMES],
                        recordings=[each for each in events if each.event.name in RECORDING_EVENT_NAMES],
                    )
                )
    return found


def check_state(book: BookReader, stage_arns: list[str]) -> None:
    """Check what holds at every moment: rules 2, 3 and 6."""
    everything = histories(book, stage_arns)
    for history in everything:
        check_row(history)
        check_order(history)
        check_frame(history)
        check_media(history)
        check_capabilities(history)
        check_replications(history)
        check_marks(history)
    check_sequences(everything)
    check_viewers(everything)
    check_replication_ends(book, everything)
    for stage_arn in stage_arns:
        check_sessions(book.list_sessions(stage_arn, after=None, limit=LIMIT).items)


def check_row(history: History) -> None:
    """Rule 2: the row says what the events say."""
    names, record = history.names, history.record
    presence = [name for name in names if name in (EventName.JOINED, EventName.LEFT)]
    is_connected = bool(presence) and presence[-1] is EventName.JOINED
    assert (record.state is ParticipantState.CONNECTED) == is_connected
    assert record.published == (EventName.PUBLISH_STARTED in names)
    joined = [entry.time_ms for entry in history.events if entry.event.name is EventName.JOINED]
    assert record.first_join_ms == (joined[0] if joined else None), "firstJoinTime is the time of the first JOINED"
    if record.replication_type is ReplicationType.REPLICA:
        assert (record.replication_state is ReplicationState.ACTIVE) == is_connected
    elif record.replication_type is ReplicationType.SOURCE:
        running = names.count(EventName.REPLICATION_STARTED) - names.count(EventName.REPLICATION_STOPPED)
        assert (record.replication_state is ReplicationState.ACTIVE) == (running > 0)


def check_order(history: History) -> None:
    """Rules 3 and 6: sequences grow, times lie inside the session, and each event says why it happened."""
    sequences = [entry.sequence for entry in history.events]
    assert sequences == sorted(set(sequences))
    session = history.session
    for entry in history.events:
        assert session.start_ms <= entry.time_ms
        assert session.end_ms is None or entry.time_ms <= session.end_ms, "an event after the end of its session"
        assert entry.event.cause is not None
        assert (entry.event.error_code is not None) == entry.event.name.value.endswith("_ERROR")


def check_frame(history: History) -> None:
    """Rule 4, so far: JOINED and LEFT alternate, and everything but errors and replications lies between them."""
    inside = False
    for entry in history.events:
        name = entry.event.name
        if name is EventName.JOINED:
            assert not inside, "JOINED twice"
            inside = True
        elif name is EventName.LEFT:
            assert inside, "LEFT without JOINED"
            inside = False
        elif not name.value.endswith("_ERROR") and name is not EventName.REPLICATION_STOPPED:
            assert inside, f"{name.value} of a participant that is not on the stage"


def check_media(history: History) -> None:
    """Rule 3: each *_STOPPED has its *_STARTED and comes before LEFT; a publication is started once."""
    flowing: list[tuple[str, str | None]] = []
    for entry in history.events:
        name, remote = entry.event.name, entry.event.remote_participant_id
        kind, _, what = name.value.partition("_")
        if kind == "REPLICATION":
            continue
        if name is EventName.LEFT:
            assert not flowing, "LEFT while media flows"
        elif what == "STARTED":
            assert kind == "SUBSCRIBE" or (kind, remote) not in flowing, "PUBLISH_STARTED twice"
            flowing.append((kind, remote))
        elif what == "STOPPED":
            flowing.remove((kind, remote))


def check_capabilities(history: History) -> None:
    """What the newest token of an exchange does not allow has ended with it."""
    allowed: tuple[str, ...] | None = None
    flowing: Counter[str] = Counter()
    for entry in history.events:
        kind, _, what = entry.event.name.value.partition("_")
        if entry.event.exchange is not None:
            allowed = entry.event.exchange.new.capabilities
        elif entry.event.name is EventName.LEFT:
            allowed = None
        elif what in ("STARTED", "STOPPED"):
            flowing[kind] += 1 if what == "STARTED" else -1
            assert what == "STOPPED" or allowed is None or kind in (*allowed, "REPLICATION")
    for kind in ("PUBLISH", "SUBSCRIBE"):
        assert allowed is None or kind in allowed or not flowing[kind], "media flows that the token does not allow"


def check_replications(history: History) -> None:
    """A replication starts while its source publishes, and each STOPPED has its STARTED."""
    running: set[ReplicationDestination] = set()
    publishes = False
    for entry in history.events:
        destination = entry.event.destination
        match entry.event.name:
            case EventName.PUBLISH_STARTED | EventName.PUBLISH_STOPPED:
                publishes = entry.event.name is EventName.PUBLISH_STARTED
            case EventName.REPLICATION_STARTED:
                assert publishes
                assert destination is not None
                assert destination not in running
                running.add(destination)
            case EventName.REPLICATION_STOPPED:
                assert destination is not None
                running.remove(destination)


def check_marks(history: History) -> None:
    """All events of a replica are marked as such, from JOINED to LEFT, and no others."""
    is_replica = False
    for entry in history.events:
        name = entry.event.name
        if name is EventName.JOINED:
            is_replica = entry.event.replica
        if not name.value.startswith("SUBSCRIBE"):
            assert entry.event.replica == is_replica
        if is_replica:
            assert name in REPLICA_EVENTS
            is_replica = name is not EventName.LEFT


def check_sequences(everything: list[History]) -> None:
    """Rule 3: no two events of the book share a sequence number."""
    sequences = Counter(entry.sequence for history in everything for entry in (*history.events, *history.recordings))
    assert not [sequence for sequence, count in sequences.items() if count > 1]


def check_viewers(everything: list[History]) -> None:
    """Rule 2 and 3: a subscription stops with the publication that it watches, in the same transaction."""
    stopped: dict[tuple[str, str], int] = {}
    for history in everything:
        for entry in history.events:
            if entry.event.name is EventName.PUBLISH_STOPPED:
                stopped[history.session.session_id, history.record.participant_id] = entry.sequence
    for history in everything:
        flowing: list[tuple[str | None, int]] = []
        for entry in history.events:
            remote = entry.event.remote_participant_id
            if entry.event.name is EventName.SUBSCRIBE_STARTED:
                flowing.append((remote, entry.sequence))
            elif entry.event.name is EventName.SUBSCRIBE_STOPPED:
                flowing.remove(next(each for each in flowing if each[0] == remote))
        for remote, started in flowing:
            assert stopped.get((history.session.session_id, remote or ""), 0) < started, (
                "a viewer outlives its publisher"
            )


def check_replication_ends(book: BookReader, everything: list[History]) -> None:
    """Rule 2: both ends of a replication change in one transaction, and its row with them."""
    starts: Counter[tuple[str, str, str]] = Counter()
    present: set[tuple[str, str, str]] = set()
    publishing: set[tuple[str, str]] = set()
    for history in everything:
        session, participant_id = history.session, history.record.participant_id
        for entry in history.events:
            event, destination = entry.event, entry.event.destination
            here = (session.stage_arn, session.session_id, participant_id)
            match event.name:
                case EventName.REPLICATION_STARTED if destination is not None:
                    starts[destination.stage_arn, destination.session_id, participant_id] += 1
                case EventName.REPLICATION_STOPPED if destination is not None:
                    starts[destination.stage_arn, destination.session_id, participant_id] -= 1
                case EventName.JOINED if event.replica:
                    present.add(here)
                case EventName.LEFT if event.replica:
                    present.discard(here)
                case EventName.PUBLISH_STARTED:
                    publishing.add((session.session_id, participant_id))
                case EventName.PUBLISH_STOPPED:
                    publishing.discard((session.session_id, participant_id))
                case _:
                    pass
    rows = book.list_active_replicas()
    active = {(row.destination_stage_arn, row.destination_session_id, row.participant_id) for row in rows}
    running = {where for where, count in starts.items() if count}
    assert running == present, "a replication runs without its replica, or the reverse"
    assert running == active, "the rows of replications differ from their events"
    for row in rows:
        source, replica = (row.source_session_id, row.participant_id), (row.destination_session_id, row.participant_id)
        assert (source in publishing) == (replica in publishing), "a replica publishes while its publisher does not"


def check_sessions(newest_first: list[StageSession]) -> None:
    """The sessions of a stage do not overlap, and none ends before it starts."""
    earlier_end_ms = 0
    for session in reversed(newest_first):
        assert earlier_end_ms is not None, "a session opened while another one was open"
        assert session.start_ms >= earlier_end_ms, "a session started before the one before it ended"
        assert session.end_ms is None or session.end_ms >= session.start_ms, "a session ended before it started"
        earlier_end_ms = session.end_ms  # type: ignore[assignment]  # None: it is open


def check_end(book: BookReader, stage_arns: list[str]) -> None:
    """Check what holds once everything is closed: rule 4, and the two ends of each replication."""
    check_state(book, stage_arns)
    assert book.list_open_sessions() == []
    assert book.list_active_replicas() == []
    led: Counter[tuple[str, str, str]] = Counter()
    joined: Counter[tuple[str, str, str]] = Counter()
    for history in histories(book, stage_arns):
        names, record, session = history.names, history.record, history.session
        assert record.state is ParticipantState.DISCONNECTED
        assert names.count(EventName.JOINED) == names.count(EventName.LEFT), "one LEFT for each JOINED"
        for kind in ("PUBLISH", "SUBSCRIBE", "REPLICATION"):
            started = [name for name in names if name.value == f"{kind}_STARTED"]
            stopped = [name for name in names if name.value == f"{kind}_STOPPED"]
            assert len(started) == len(stopped), f"one {kind}_STOPPED for each {kind}_STARTED"
        for entry in history.events:
            destination = entry.event.destination
            if destination is not None and entry.event.name is EventName.REPLICATION_STARTED:
                led[destination.stage_arn, destination.session_id, record.participant_id] += 1
            if entry.event.replica and entry.event.name is EventName.JOINED:
                joined[session.stage_arn, session.session_id, record.participant_id] += 1
        check_pages(book, history)
    assert led == joined, "as many replicas joined a session as replications lead to it"


def check_pages(book: BookReader, history: History) -> None:
    """Rule 5: pages of any size show each event once, newest first."""
    where = (history.session.stage_arn, history.session.session_id, history.record.participant_id)
    seen: list[int] = []
    after: int | None = None
    while page := book.page_events(*where, after=after, limit=3):
        seen.extend(row[0] for row in page)
        after = seen[-1]
    assert seen == [entry.sequence for entry in reversed(history.events)]


def count_joined(everything: list[History], participant_id: str) -> int:
    """Return how often a participant has joined by itself, and not as a replica."""
    return sum(
        entry.event.name is EventName.JOINED and not entry.event.replica
        for history in everything
        if history.record.participant_id == participant_id
        for entry in history.events
    )


def check_barred(book: BookReader, barred: dict[tuple[str, str], int]) -> None:
    """A participant that was disconnected for good does not join again."""
    for (stage_arn, participant_id), joined in barred.items():
        found = count_joined(histories(book, [stage_arn]), participant_id)
        assert found == joined, "a participant joined after DisconnectParticipant"


class Observer:
    """Checks rule 1: an event is durable before a client can observe it. `book` reads the durable state."""

    def __init__(self, book: BookReader) -> None:
        self._book = book
        self.violations: list[AssertionError] = []
        """Violations found in callbacks, where a raised exception would be lost in a task of the server."""

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Collect a violation that is raised in the block."""
        try:
            yield
        except AssertionError as violation:
            self.violations.append(violation)
        except BookFailedError:
            pass  # the process has crashed, and its book is closed: the callback would never have run

    def events(self, stage_arn: str, participant_id: str) -> list[EventName]:
        """Return the names of a participant's durable events in all sessions of a stage, oldest first."""
        found: list[RecordedEvent] = []
        for session in self._book.list_sessions(stage_arn, after=None, limit=LIMIT).items:
            found += self._book.list_events(stage_arn, session.session_id, participant_id)
        return [entry.event.name for entry in sorted(found, key=lambda entry: entry.sequence)]

    def count_joined(self, stage_arn: str, participant_id: str) -> int:
        """Return how often a participant has joined a stage by itself, and not as a replica."""
        return count_joined(histories(self._book, [stage_arn]), participant_id)

    def joined(self, stage_arn: str, participant_id: str) -> None:
        """Check a response which says that the participant has joined."""
        if self._book.get_stage(stage_arn) is not None:
            assert EventName.JOINED in self.events(stage_arn, participant_id), "an answer before JOINED is durable"

    def left(self, stage_arn: str, participant_id: str) -> None:
        """Check a farewell which says that the participant was removed from the stage."""
        if self._book.get_stage(stage_arn) is not None:
            names = self.events(stage_arn, participant_id)
            assert EventName.LEFT in names, "a farewell before LEFT is durable"

    def refused(self, stage_arn: str, participant_id: str) -> None:
        """Check a response which says that an attempt failed with an error code."""
        if self._book.get_stage(stage_arn) is not None:
            names = self.events(stage_arn, participant_id)
            assert any(name.value.endswith("_ERROR") for name in names), "a refusal before its event is durable"

    def shown(self, stage_arn: str, participants: Iterable[PresentParticipant]) -> None:
        """Check a list of the participants on a stage."""
        for present in participants:
            self.joined(stage_arn, present.participant_id)
            if present.is_publishing and self._book.get_stage(stage_arn) is not None:
                names = self.events(stage_arn, present.participant_id)
                assert EventName.PUBLISH_STARTED in names, "a publisher is shown before PUBLISH_STARTED is durable"

"""The book after `kill -9` at random moments: acknowledged transactions are present, and every one is complete."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apsw
import msgspec

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import ParticipantFilter, RecordedEvent
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, ReplicationState
from tests.book.sample import ACCOUNT, ARN, SESSION, open_book, replica

ROUNDS = 6
SEED = 20230426
REPOSITORY = Path(__file__).parents[3]


class Acknowledged(msgspec.Struct, frozen=True):
    """A transaction whose durability the child reported before it died."""

    detail: str
    sequences: tuple[int, ...]


def _append_until_killed(path: Path, tag: str, lines: int) -> list[Acknowledged]:
    """Run a child that appends, kill it after `lines` acknowledgements, and return every complete line it printed."""
    command = [sys.executable, "-m", "tests.book.sqlite.appender", str(path), tag]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as child:
        assert child.stdout is not None
        printed = b"".join(child.stdout.readline() for _ in range(lines))
        child.kill()
        printed += child.stdout.read()
    assert child.returncode == -9
    acknowledged = []
    for line in printed.decode().split("\n")[:-1]:
        detail, *sequences = line.split(" ")
        acknowledged.append(Acknowledged(detail, tuple(map(int, sequences))))
    assert len(acknowledged) >= lines
    return acknowledged


def _participants(book: SqliteBook) -> list[ParticipantRecord]:
    return book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=1_000_000).items


async def test_kill_9_loses_splits_and_duplicates_no_transaction(tmp_path: Path) -> None:
    path = tmp_path / "book"
    moments = random.Random(SEED)
    acknowledged: list[Acknowledged] = []
    for round_number in range(ROUNDS):
        acknowledged += _append_until_killed(path, f"round{round_number}", moments.randrange(1, 400))
        book = open_book(path)
        participants = _participants(book)
        events = {one.participant_id: book.list_events(ARN, SESSION, one.participant_id) for one in participants}
        _check_resources(book, participants)
        await book.close()
        _check_integrity(path)
        _check_acknowledged(acknowledged, events)
        _check_complete_and_single(events)
        _check_state(participants, events)


def _check_resources(book: SqliteBook, participants: list[ParticipantRecord]) -> None:
    """A participant's resource, replica and token agree with its row, and there are no others."""
    present = {one.participant_id for one in participants if one.state is ParticipantState.CONNECTED}
    resources = book.list_resources(ACCOUNT, "public-key", after=None, limit=1_000_000).items
    assert {one.arn for one in resources} == present
    assert len(resources) == book.count_resources(ACCOUNT, "public-key") == len(present)
    active = book.list_active_replicas()
    assert {one.participant_id for one in active} == present
    assert len(active) == len(present)
    for one in participants:
        is_present = one.participant_id in present
        state = ReplicationState.ACTIVE if is_present else ReplicationState.STOPPED
        listed = book.list_replicas(ARN, one.participant_id, after=None, limit=9).items
        assert listed == [replica(one.participant_id, state=state)]
        assert book.is_connection_token_revoked(ACCOUNT, one.participant_id) is not is_present


def _check_integrity(path: Path) -> None:
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def _check_acknowledged(acknowledged: list[Acknowledged], events: dict[str, list[RecordedEvent]]) -> None:
    stored = {one.sequence: one.event.detail for recorded in events.values() for one in recorded}
    for transaction in acknowledged:
        assert [stored.get(sequence) for sequence in transaction.sequences] == [transaction.detail] * len(
            transaction.sequences
        )


def _check_complete_and_single(events: dict[str, list[RecordedEvent]]) -> None:
    """Every transaction has all of its events or none, each once, each with a sequence number of its own."""
    recorded = [one for of_participant in events.values() for one in of_participant]
    for detail, count in Counter(one.event.detail for one in recorded).items():
        assert detail is not None
        assert count == int(detail.split("/")[1])
    assert len({one.sequence for one in recorded}) == len(recorded)


def _check_state(participants: list[ParticipantRecord], events: dict[str, list[RecordedEvent]]) -> None:
    """A participant's row agrees with its events."""
    for participant in participants:
        names = [one.event.name for one in events[participant.participant_id]]
        assert names[:2] == [EventName.JOINED, EventName.PUBLISH_STARTED]
        left = names[-1] is EventName.LEFT
        assert participant.state is (ParticipantState.DISCONNECTED if left else ParticipantState.CONNECTED)

"""What an appender has acknowledged before it was killed, and whether the book has it."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec

from stagebook.book.book_values import ParticipantFilter, RecordedEvent
from stagebook.book.store import BookReader
from stagebook.stage.events import EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState, ReplicationState
from tests.book.sample import ACCOUNT, ARN, SESSION, replica

REPOSITORY = Path(__file__).parents[2]


class Acknowledged(msgspec.Struct, frozen=True):
    """A transaction whose durability the child reported before it died."""

    detail: str
    sequences: tuple[int, ...]


def start_appender(place: Path | str, tag: str) -> "subprocess.Popen[bytes]":
    """Start a child that appends until it is killed."""
    command = [sys.executable, "-m", "tests.book.appender", str(place), tag]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)


def append_until_killed(place: Path | str, tag: str, lines: int) -> list[Acknowledged]:
    """Run a child that appends, kill it after `lines` acknowledgements, and return every complete line it printed."""
    with start_appender(place, tag) as child:
        assert child.stdout is not None
        printed = b"".join(child.stdout.readline() for _ in range(lines))
        child.kill()
        printed += child.stdout.read()
    assert child.returncode == -9
    acknowledged = acknowledgements(printed)
    assert len(acknowledged) >= lines
    return acknowledged


def acknowledgements(printed: bytes) -> list[Acknowledged]:
    """Return the complete lines that a child has printed."""
    acknowledged = []
    for line in printed.decode().split("\n")[:-1]:
        detail, *sequences = line.split(" ")
        acknowledged.append(Acknowledged(detail, tuple(map(int, sequences))))
    return acknowledged


def check_book(book: BookReader, acknowledged: list[Acknowledged]) -> None:
    """Check that the book has every acknowledged transaction, each once and complete."""
    participants = book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=1_000_000).items
    events = {one.participant_id: book.list_events(ARN, SESSION, one.participant_id) for one in participants}
    _check_resources(book, participants)
    _check_acknowledged(acknowledged, events)
    _check_complete_and_single(events)
    _check_state(participants, events)


def _check_resources(book: BookReader, participants: list[ParticipantRecord]) -> None:
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

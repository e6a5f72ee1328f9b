"""What waits for a client: states replace each other, changes wait in order, and a slow client gets a state again."""

import asyncio
import json
from collections.abc import Iterable
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.participants.events_outbox import CHANGES_LIMIT, CHANGES_SIZE_BYTES, EventsOutbox
from stagebook.api.participants.stage_state_messages import StageStateEncoder, StageStateMessage
from stagebook.manager.presence import watched_stage
from stagebook.manager.presence.stage_list import StageList
from stagebook.manager.presence.watchers import FarewellReason, PresentParticipant, StageChange, StageSnapshot
from stagebook.stage.session.session_facts import AttemptAnswered
from stagebook.stage.session.session_state import Session
from tests.clients.stage_state import StageStateClient
from tests.manager.presence.paced_stage import PacedStage, run
from tests.stage.session.decided_session import STAGE, connected, ended, events, publish

Step: TypeAlias = tuple[object, ...]


def present(name: str, *, attribute: str = "") -> PresentParticipant:
    return PresentParticipant(participant_id=name, user_id="", attributes={"a": attribute}, is_publishing=False)


def snapshot(number: int) -> StageSnapshot:
    return StageSnapshot(stage_id="s", participants=(present("p"),), sequence_number=number)


def change(number: int, *, attribute: str = "") -> StageChange:
    joined = (present(f"p{number}", attribute=attribute),)
    return StageChange(stage_id="s", base_sequence_number=number - 1, sequence_number=number, joined=joined)


def numbers(messages: Iterable[StageStateMessage]) -> list[int]:
    return [json.loads(message.text)["payload"]["sequenceNumber"] for message in messages]


def take_all(outbox: EventsOutbox) -> list[StageStateMessage]:
    return list(iter(outbox.take, None))


def test_a_state_replaces_everything_before_it() -> None:
    outbox = EventsOutbox(StageStateEncoder())
    outbox.show(snapshot(1))
    outbox.show_change(change(2))
    outbox.show(snapshot(3))
    outbox.show_change(change(4))
    outbox.show_change(change(5))
    assert numbers(take_all(outbox)) == [3, 4, 5]
    assert outbox.take() is None


def test_a_list_that_the_client_has_is_not_sent_again() -> None:
    outbox = EventsOutbox(StageStateEncoder())
    outbox.show(snapshot(1))
    assert numbers(take_all(outbox)) == [1]
    outbox.show(snapshot(1))
    outbox.show_change(change(2))
    outbox.show(snapshot(2))
    assert [json.loads(message.text)["type"] for message in take_all(outbox)] == ["STAGE_STATE_CHANGE"]


@pytest.mark.parametrize(("attribute", "fits"), [("", CHANGES_LIMIT), ("x" * 10_000, CHANGES_SIZE_BYTES // 10_300)])
def test_a_client_that_is_too_slow_gets_a_state_instead_of_the_changes(attribute: str, fits: int) -> None:
    outbox = EventsOutbox(StageStateEncoder())
    for number in range(1, fits + 1):
        outbox.show_change(change(number, attribute=attribute))
    assert bool(outbox.is_behind) is False
    outbox.show_change(change(fits + 1, attribute=attribute))
    outbox.show_change(change(fits + 2, attribute=attribute))
    assert outbox.take() is None
    assert outbox.is_behind
    outbox.show(snapshot(fits + 3))
    outbox.show_change(change(fits + 4))
    assert numbers(take_all(outbox)) == [fits + 3, fits + 4]


def test_one_change_of_any_size_can_wait() -> None:
    outbox = EventsOutbox(StageStateEncoder())
    outbox.show_change(change(1, attribute="x" * 2 * CHANGES_SIZE_BYTES))
    assert len(take_all(outbox)) == 1
    outbox.show_change(change(2))
    assert len(take_all(outbox)) == 1


class ReadingWatcher:
    """A watcher with an outbox, whose client reads when a test lets it. Its list must be one that the stage had."""

    publishers_only = False

    def __init__(self, encoder: StageStateEncoder, history: dict[int, StageSnapshot], *, takes_changes: bool) -> None:
        self.takes_changes = takes_changes
        self.outbox = EventsOutbox(encoder, changes_limit=3)
        self.client = StageStateClient()
        self._history = history

    def show(self, snapshot: StageSnapshot) -> None:
        self.outbox.show(snapshot)

    def show_change(self, change: StageChange) -> None:
        assert self.takes_changes
        self.outbox.show_change(change)

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Do nothing."""

    def read(self) -> bool:
        """Read one message; return False if there is none."""
        message = self.outbox.take()
        if message is None:
            return False
        self.client.apply(json.loads(message.text))
        shown = self._history[self.client.sequence_number].participants
        assert list(self.client.participants.values()) == [
            {
                "id": each.participant_id,
                "userId": each.user_id,
                "attributes": each.attributes,
                "isPublishing": each.is_publishing,
                "audioMuted": each.audio_muted,
                "videoStopped": each.video_stopped,
            }
            for each in shown
        ]
        return True


class ReadStage(PacedStage):
    """A stage whose watchers read at any pace. `history` is each list that it had, by sequence number."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[int, StageSnapshot] = {}
        self.readers: dict[str, ReadingWatcher] = {}
        self._encoder = StageStateEncoder()
        self._publishing: set[str] = set()

    def list_of(self, session: Session, *, publishers_only: bool) -> StageList:
        """Return a list that notes each of its states."""
        history = self.history

        class NotedList(StageList):
            def update(self, session: Session, participant_ids: Iterable[str]) -> None:
                super().update(session, participant_ids)
                history[max(self.sequence_number, 1)] = self.snapshot()

        return NotedList(session, publishers_only=publishers_only)

    def arrive(self, name: str, *, takes_changes: bool) -> None:
        if name not in self.readers:
            self.readers[name] = ReadingWatcher(self._encoder, self.history, takes_changes=takes_changes)
            self.publisher.add(STAGE, f"events-{name}", self.readers[name])
            self.apply(events(name, f"events-{name}"))

    def leave(self, name: str) -> None:
        if self.readers.pop(name, None) is not None:
            self.publisher.remove(f"events-{name}")
            self._publishing.discard(name)
            for connection_id in (f"events-{name}", f"publish-{name}"):
                self.apply(ended(name, connection_id))

    def toggle_publishing(self, name: str) -> None:
        """Let a participant begin or end to publish."""
        connection_id = f"publish-{name}"
        if name in self._publishing:
            self._publishing.remove(name)
            self.apply(ended(name, connection_id))
        elif name in self.readers:
            self._publishing.add(name)
            self.apply(publish(name, connection_id))
            self.apply(AttemptAnswered(participant_id=name, connection_id=connection_id))
            self.apply(connected(name, connection_id))

    def read(self, name: str, count: int) -> None:
        """Let a client read messages, and ask for the list if it has missed changes, as a websocket does."""
        reader = self.readers.get(name)
        if reader is not None:
            while count and reader.read():
                count -= 1
            if count and reader.outbox.is_behind:
                self.publisher.show_again(f"events-{name}")

    async def play(self, step: Step) -> None:
        match step:
            case ("arrive", str(name), bool(takes_changes)):
                self.arrive(name, takes_changes=takes_changes)
            case ("leave", str(name)):
                self.leave(name)
            case ("publish", str(name)):
                self.toggle_publishing(name)
            case ("read", str(name), int(count)):
                self.read(name, count)
            case ("wait", float(seconds)):
                await asyncio.sleep(seconds)


async def played(script: list[Step]) -> ReadStage:
    """Return a stage after these steps, when every client has read everything."""
    stage = ReadStage()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watched_stage, "StageList", stage.list_of)
        stage.arrive("anchor", takes_changes=False)  # the list lives as long as somebody watches
        for step in script:
            await stage.play(step)
        for _ in range(3):
            await asyncio.sleep(10)
            for name in stage.readers:
                stage.read(name, 100)
    return stage


names = st.sampled_from("abcd")
steps = st.one_of(
    st.tuples(st.just("arrive"), names, st.booleans()),
    st.tuples(st.just("leave"), names),
    st.tuples(st.just("publish"), names),
    st.tuples(st.just("read"), names, st.integers(1, 4)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.012, 0.012, 0.025, 0.1, 0.5])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=20, max_size=80))
def test_a_list_and_its_changes_are_the_list_of_the_stage(script: list[Step]) -> None:
    """At every message that any client reads, however slowly, and at the end."""

    stage = run(played(script))
    newest = stage.history[max(stage.history)]
    expected = {each.participant_id: each for each in StageList(stage.session).snapshot().participants}
    assert {each.participant_id: each for each in newest.participants} == expected
    for reader in stage.readers.values():
        assert reader.client.sequence_number == newest.sequence_number

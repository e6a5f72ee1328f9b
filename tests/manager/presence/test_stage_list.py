"""The list of a stage: kept up to date by the ids of what has changed, and its differences."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.presence.stage_list import StageList
from stagebook.stage.session.decide import decide
from stagebook.stage.session.session_facts import SessionFact
from tests.manager.presence.shown_list import ShownList
from tests.stage.session.decided_session import (
    DecidedSession,
    answered,
    connected,
    ended,
    events,
    publish,
    replica_arrives,
)


class ListedSession:
    """A session, its list, and clients that were shown the list at different times and then each change."""

    def __init__(self, *, publishers_only: bool = False) -> None:
        self._context = DecidedSession().context
        self.session = DecidedSession().session
        self.list = StageList(self.session, publishers_only=publishers_only)
        self.clients: list[ShownList] = []
        self._changed_ids: set[str] = set()

    def apply(self, fact: SessionFact) -> None:
        decision = decide(self.session, fact, self._context)
        self.session = decision.session
        self._changed_ids.update(decision.changed_ids)

    def enter(self, name: str) -> None:
        if name not in self.session.participants:
            self.apply(events(name, f"events-{name}"))

    def leave(self, name: str) -> None:
        self.apply(ended(name, f"events-{name}"))

    def publish(self, name: str) -> None:
        participant = self.session.participants.get(name)
        if participant is None or not participant.machine.is_publishing:
            self.apply(publish(name, f"publish-{name}"))
            self.apply(answered(name, f"publish-{name}"))
            self.apply(connected(name, f"publish-{name}"))

    def unpublish(self, name: str) -> None:
        self.apply(ended(name, f"publish-{name}"))

    def update(self) -> None:
        self.list.update(self.session, self._changed_ids)
        self._changed_ids = set()

    def show_list(self) -> None:
        self.update()
        client = ShownList()
        client.show(self.list.snapshot())
        self.clients.append(client)

    def show_change(self) -> None:
        self.update()
        if self.list.has_changes:
            change = self.list.take_change()
            for client in self.clients:
                client.show_change(change)


def ids(stage: ListedSession) -> list[str]:
    return [each.participant_id for each in stage.list.snapshot().participants]


def test_a_new_list_has_everybody_in_order_of_arrival() -> None:
    stage = ListedSession()
    for name in ("b", "a", "c"):
        stage.enter(name)
    stage.list = StageList(stage.session)
    assert ids(stage) == ["b", "a", "c"]
    assert stage.list.snapshot().sequence_number == 1
    assert not stage.list.has_changes


def test_a_participant_that_comes_back_is_appended() -> None:
    stage = ListedSession()
    for name in ("a", "b"):
        stage.enter(name)
    stage.update()
    stage.leave("a")
    stage.update()
    stage.enter("a")
    stage.update()
    assert ids(stage) == ["b", "a"]


def test_a_list_that_has_not_changed_is_the_same_object() -> None:
    stage = ListedSession()
    stage.enter("a")
    stage.update()
    before = stage.list.snapshot()
    stage.apply(events("a", "another-websocket"))
    stage.update()
    assert stage.list.snapshot() is before
    stage.enter("b")
    stage.update()
    assert stage.list.snapshot() is not before


def test_a_change_contains_each_participant_once() -> None:
    stage = ListedSession()
    for name in ("stays", "leaves"):
        stage.enter(name)
    stage.show_list()
    stage.list.forget_changes()
    for _ in range(5):
        stage.enter("comes")
        stage.update()
        stage.leave("comes")
        stage.update()
    stage.enter("comes")
    stage.leave("leaves")
    stage.apply(replica_arrives())
    stage.update()
    change = stage.list.take_change()
    assert [each.participant_id for each in change.joined] == ["comes", "R"]
    assert (change.updated, change.left) == ((), ("leaves",))


@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_size_is_that_of_the_participants_as_json(count: int) -> None:
    stage = ListedSession()
    for number in range(count + 5):
        stage.enter(f"participant-{number}")
        stage.update()
    for number in range(5):
        stage.leave(f"participant-{number}")
    stage.update()
    snapshot = stage.list.snapshot()
    assert snapshot.size_bytes == sum(len(msgspec.json.encode(each)) for each in snapshot.participants)


def test_a_list_of_publishers_has_those_who_publish_and_nobody_else() -> None:
    stage = ListedSession(publishers_only=True)
    for name in ("viewer", "a", "b"):
        stage.enter(name)
    stage.apply(publish("a", "publish-a"))
    stage.apply(answered("a", "publish-a"))
    stage.update()
    assert ids(stage) == []
    stage.publish("b")
    stage.apply(connected("a", "publish-a"))
    stage.update()
    assert ids(stage) == ["a", "b"]
    stage.unpublish("a")
    stage.update()
    assert ids(stage) == ["b"]


def test_a_viewer_does_not_change_a_list_of_publishers() -> None:
    stage = ListedSession(publishers_only=True)
    stage.enter("a")
    stage.publish("a")
    stage.update()
    before = stage.list.snapshot()
    stage.enter("viewer")
    stage.update()
    stage.leave("viewer")
    stage.update()
    assert stage.list.snapshot() is before


names = st.sampled_from("abc")
steps: st.SearchStrategy[Callable[[ListedSession], None]] = st.one_of(
    names.map(lambda name: lambda stage: stage.enter(name)),
    names.map(lambda name: lambda stage: stage.leave(name)),
    names.map(lambda name: lambda stage: stage.publish(name)),
    names.map(lambda name: lambda stage: stage.unpublish(name)),
    st.sampled_from([ListedSession.update, ListedSession.show_list, ListedSession.show_change]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40), st.booleans())
def test_a_list_of_any_time_and_the_changes_after_it_are_the_newest_list(
    script: list[Callable[[ListedSession], None]],
    publishers_only: bool,  # noqa: FBT001 - hypothesis gives it by position
) -> None:
    stage = ListedSession(publishers_only=publishers_only)
    for step in script:
        step(stage)
    stage.show_change()
    newest = stage.list.snapshot().participants
    assert {each.participant_id for each in newest} == {
        each.participant_id
        for each in StageList(stage.session, publishers_only=publishers_only).snapshot().participants
    }
    for client in stage.clients:
        assert client.listed == newest

"""The participant machine: connections, presence, replacement of a publication, and illegal facts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.stage.events import ErrorCode, EventName
from stagebook.stage.participant.event_replay import replay
from stagebook.stage.participant.participant_facts import Accepted, Cut, MediaConnected, ParticipantFact, Refused
from stagebook.stage.participant.participant_machine import IllegalFactError, step, superseded_by
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.participant.transitions import CONNECTION_MOVES, ConnectionKind, ConnectionState, Presence
from tests.stage.participant.participant_steps import apply_facts, apply_legal_facts, gone, names, watch

PUBLISH = Accepted(connection_id="pub", kind="publish")
SECOND = Accepted(connection_id="pub2", kind="publish")
THIRD = Accepted(connection_id="pub3", kind="publish")
EVENTS = Accepted(connection_id="ws", kind="events")
REPLICA = Accepted(connection_id="rep", kind="replica")
FIRST_CONNECTED, SECOND_CONNECTED = MediaConnected(connection_id="pub"), MediaConnected(connection_id="pub2")


def test_a_publisher_joins_publishes_and_leaves() -> None:
    _, events = apply_facts(PUBLISH, FIRST_CONNECTED, gone("pub"))

    assert names(events) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


def test_a_viewer_joins_subscribes_and_leaves() -> None:
    _, events = apply_facts(watch("sub", "Q"), MediaConnected(connection_id="sub"), gone("sub"))

    assert [(event.name, event.remote_participant_id) for event in events] == [
        (EventName.JOINED, None),
        (EventName.SUBSCRIBE_STARTED, "Q"),
        (EventName.SUBSCRIBE_STOPPED, "Q"),
        (EventName.LEFT, None),
    ]


def test_a_viewer_with_an_events_websocket_stays_when_its_subscription_ends() -> None:
    participant, events = apply_facts(EVENTS, watch("sub", "Q"), MediaConnected(connection_id="sub"), gone("sub"))

    assert names(events) == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED"]
    assert participant.presence is Presence.PRESENT


def test_connections_that_end_together_stop_before_the_participant_leaves() -> None:
    _, events = apply_facts(
        EVENTS,
        PUBLISH,
        FIRST_CONNECTED,
        watch("sub", "Q"),
        MediaConnected(connection_id="sub"),
        gone("ws", "pub", "sub"),
    )

    assert names(events[3:]) == ["PUBLISH_STOPPED", "SUBSCRIBE_STOPPED", "LEFT"]


def test_a_participant_that_comes_back_joins_again() -> None:
    _, events = apply_facts(EVENTS, gone("ws"), EVENTS, gone("ws"))

    assert names(events) == ["JOINED", "LEFT", "JOINED", "LEFT"]


def test_media_that_never_connects_starts_and_stops_nothing() -> None:
    _, events = apply_facts(PUBLISH, watch("sub", "Q"), gone("pub", "sub"))

    assert names(events) == ["JOINED", "LEFT"]


def test_two_subscriptions_to_one_publisher_have_an_event_pair_each() -> None:
    _, events = apply_facts(
        watch("a", "Q"),
        watch("b", "Q"),
        MediaConnected(connection_id="a"),
        MediaConnected(connection_id="b"),
        gone("a", "b"),
    )

    assert names(events).count("SUBSCRIBE_STARTED") == names(events).count("SUBSCRIBE_STOPPED") == 2


def test_publish_error_comes_before_publish_stopped() -> None:
    _, events = apply_facts(PUBLISH, FIRST_CONNECTED, Cut(connection_id="pub", code=ErrorCode.BITRATE_EXCEEDED))

    assert [(event.name, event.error_code) for event in events[2:]] == [
        (EventName.PUBLISH_ERROR, ErrorCode.BITRATE_EXCEEDED),
        (EventName.PUBLISH_STOPPED, None),
        (EventName.LEFT, None),
    ]


def test_the_error_of_a_subscription_names_its_publisher() -> None:
    _, events = apply_facts(
        watch("sub", "Q"),
        MediaConnected(connection_id="sub"),
        Cut(connection_id="sub", code=ErrorCode.STREAM_DURATION_EXCEEDED),
    )

    assert [(event.name, event.error_code, event.remote_participant_id) for event in events[2:4]] == [
        (EventName.SUBSCRIBE_ERROR, ErrorCode.STREAM_DURATION_EXCEEDED, "Q"),
        (EventName.SUBSCRIBE_STOPPED, None, "Q"),
    ]


@pytest.mark.parametrize("attempt", ["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR"])
def test_a_refused_attempt_emits_an_event_and_changes_no_state(attempt: str) -> None:
    before, _ = apply_facts(EVENTS)
    fact = Refused(attempt=attempt, code=ErrorCode.QUOTA_EXCEEDED)  # type: ignore[arg-type]  # parametrised literal

    made = step(before, fact)

    assert made.participant == before
    assert names(made.events) == [attempt]


class TestReplacementOfAPublication:
    def test_a_replacement_takes_over_without_an_event_when_it_connects(self) -> None:
        participant, events = apply_facts(PUBLISH, FIRST_CONNECTED, SECOND)
        assert (participant.publication_id, participant.replacement_id) == ("pub", "pub2")

        participant, more = apply_facts(SECOND_CONNECTED, participant=participant)

        assert names([*events, *more]) == ["JOINED", "PUBLISH_STARTED"]
        assert (participant.publication_id, participant.replacement_id) == ("pub2", None)
        assert list(participant.connections) == ["pub2"]
        assert names(apply_facts(gone("pub2"), participant=participant)[1]) == ["PUBLISH_STOPPED", "LEFT"]

    def test_a_replacement_that_never_connects_ends_without_an_event(self) -> None:
        participant, events = apply_facts(PUBLISH, FIRST_CONNECTED, SECOND, gone("pub2"))

        assert names(events) == ["JOINED", "PUBLISH_STARTED"]
        assert participant.publication_id == "pub"
        assert participant.is_publishing

    def test_a_replacement_that_fails_reports_an_error_and_the_publication_goes_on(self) -> None:
        failed = Cut(connection_id="pub2", code=ErrorCode.INTERNAL_SERVER_EXCEPTION)
        participant, events = apply_facts(PUBLISH, FIRST_CONNECTED, SECOND, failed)

        assert names(events[2:]) == ["PUBLISH_ERROR"]
        assert participant.is_publishing

    def test_a_publication_that_ends_while_its_replacement_opens_stops_and_starts_again(self) -> None:
        participant, events = apply_facts(PUBLISH, FIRST_CONNECTED, SECOND, gone("pub"), SECOND_CONNECTED)

        assert names(events[1:]) == ["PUBLISH_STARTED", "PUBLISH_STOPPED", "PUBLISH_STARTED"]
        assert participant.publication_id == "pub2"

    def test_of_two_that_open_the_newer_one_wins_if_it_connects_first(self) -> None:
        participant, events = apply_facts(PUBLISH, SECOND, SECOND_CONNECTED)

        assert names(events) == ["JOINED", "PUBLISH_STARTED"]
        assert list(participant.connections) == ["pub2"]
        with pytest.raises(IllegalFactError):
            step(participant, FIRST_CONNECTED)

    def test_of_two_that_open_the_older_one_is_superseded_later_if_it_connects_first(self) -> None:
        participant, events = apply_facts(PUBLISH, SECOND, FIRST_CONNECTED, SECOND_CONNECTED)

        assert names(events) == ["JOINED", "PUBLISH_STARTED"]
        assert list(participant.connections) == ["pub2"]

    def test_only_older_publications_are_superseded(self) -> None:
        participant, _ = apply_facts(EVENTS, PUBLISH, FIRST_CONNECTED, SECOND, watch("sub", "Q"))

        assert superseded_by(participant, "pub2") == ("pub",)
        assert superseded_by(participant, "pub") == ()

    def test_there_is_at_most_one_replacement(self) -> None:
        participant, _ = apply_facts(PUBLISH, SECOND)

        with pytest.raises(IllegalFactError, match="at most one replacement"):
            step(participant, THIRD)


def test_the_events_of_a_replica_and_of_its_viewers_are_marked() -> None:
    facts = (REPLICA, MediaConnected(connection_id="rep"), gone("rep"))
    _, own = apply_facts(*facts, participant=Participant(is_replica=True))
    remote = Accepted(connection_id="sub", kind="subscribe", remote_participant_id="R", remote_is_replica=True)
    _, watching = apply_facts(remote, MediaConnected(connection_id="sub"))

    assert names(own) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert all(event.replica for event in own)
    assert watching[1].replica
    assert not watching[0].replica


ILLEGAL = [
    ((EVENTS,), EVENTS),
    ((PUBLISH, SECOND), THIRD),
    ((PUBLISH, FIRST_CONNECTED), FIRST_CONNECTED),
    ((EVENTS,), MediaConnected(connection_id="ws")),
    ((EVENTS,), MediaConnected(connection_id="unknown")),
    ((EVENTS,), gone("unknown")),
    ((EVENTS,), Cut(connection_id="ws", code=ErrorCode.QUOTA_EXCEEDED)),
]


@pytest.mark.parametrize(("before", "fact"), ILLEGAL)
def test_an_illegal_fact_raises_and_changes_nothing(before: tuple[ParticipantFact, ...], fact: ParticipantFact) -> None:
    participant, _ = apply_facts(*before)
    connections = dict(participant.connections)

    with pytest.raises(IllegalFactError):
        step(participant, fact)

    assert participant.connections == connections


def test_every_state_of_the_table_is_reachable() -> None:
    left = {(kind, state) for (kind, state, _) in CONNECTION_MOVES}
    entered = {(kind, target) for (kind, _, _), (target, _) in CONNECTION_MOVES.items()}

    assert left - {(kind, ConnectionState.NONE) for kind in ConnectionKind} <= entered


CONNECTION_IDS = ["a", "b", "c"]
FACTS = st.one_of(
    st.builds(
        Accepted,
        connection_id=st.sampled_from(CONNECTION_IDS),
        kind=st.sampled_from(["events", "publish", "publish", "redundant"]),
    ),
    st.builds(watch, st.sampled_from(CONNECTION_IDS), st.sampled_from(["P", "Q"])),
    st.builds(MediaConnected, connection_id=st.sampled_from(CONNECTION_IDS)),
    st.builds(lambda i: gone(i), st.sampled_from(CONNECTION_IDS)),
    st.builds(Cut, connection_id=st.sampled_from(CONNECTION_IDS), code=st.just(ErrorCode.BITRATE_EXCEEDED)),
)
MANY_FACTS = st.lists(FACTS, max_size=30)


@settings(max_examples=300, deadline=None)
@given(MANY_FACTS)
def test_all_events_lie_between_joined_and_left(facts: list[ParticipantFact]) -> None:
    participant, events = apply_legal_facts(facts)
    inside = False
    for event in events:
        if event.name is EventName.JOINED:
            assert not inside
            inside = True
        else:
            assert inside
            inside = event.name is not EventName.LEFT

    assert inside == (participant.presence is Presence.PRESENT)


@settings(max_examples=300, deadline=None)
@given(MANY_FACTS)
def test_every_start_has_its_stop_when_all_connections_end(facts: list[ParticipantFact]) -> None:
    participant, events = apply_legal_facts(facts)
    if participant.connections:
        events += step(participant, gone(*participant.connections)).events

    for started, stopped in (("PUBLISH_STARTED", "PUBLISH_STOPPED"), ("SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED")):
        assert names(events).count(started) == names(events).count(stopped)
    assert names(events).count("JOINED") == names(events).count("LEFT")


@settings(max_examples=300, deadline=None)
@given(MANY_FACTS)
def test_a_participant_has_at_most_one_flowing_publication_and_one_replacement(facts: list[ParticipantFact]) -> None:
    participant, events = apply_legal_facts(facts)
    publications = [each for each in participant.connections.values() if each.kind is ConnectionKind.PUBLISH]

    assert len(publications) <= 2
    # The flowing one is the oldest: whatever connects supersedes what is older.
    assert [each.state for each in publications[1:]] in ([], [ConnectionState.OPENING])
    flowing = names(events).count("PUBLISH_STARTED") - names(events).count("PUBLISH_STOPPED")
    assert flowing == participant.is_publishing


@settings(max_examples=300, deadline=None)
@given(MANY_FACTS)
def test_a_replayed_participant_ends_with_the_same_stops_as_the_original(facts: list[ParticipantFact]) -> None:
    participant, events = apply_legal_facts(facts)
    owed = step(participant, gone(*participant.connections)).events if participant.connections else ()
    replayed = replay(events)
    closing = step(replayed, gone(*replayed.connections)).events if replayed.connections else ()

    assert sorted((e.name, e.remote_participant_id or "") for e in closing) == sorted(
        (e.name, e.remote_participant_id or "") for e in owed
    )
    assert replayed.presence is participant.presence

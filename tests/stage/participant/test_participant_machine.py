"""The life of a participant: every scenario of the user guide, every table entry, every illegal fact."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from stagebook.stage.participant.event_replay import replay
from stagebook.stage.participant.participant_facts import Accepted, Connected, Cut, Fact, Gone, Refused, Replaced
from stagebook.stage.participant.participant_machine import (
    CONNECTION_MOVES,
    ConnectionKind,
    ConnectionState,
    IllegalFactError,
    Participant,
    Presence,
    step,
)


def live_through(*facts: Fact, participant: Participant | None = None) -> tuple[Participant, list[Event]]:
    participant = participant or Participant()
    events: list[Event] = []
    for fact in facts:
        made = step(participant, fact)
        participant = made.participant
        events.extend(made.events)
    return participant, events


def names(events: list[Event]) -> list[str]:
    return [event.name.value for event in events]


def watch(connection_id: str, publisher_id: str) -> Accepted:
    return Accepted(connection_id=connection_id, kind="subscribe", remote_participant_id=publisher_id)


def gone(*connection_ids: str) -> Gone:
    return Gone(connection_ids=connection_ids, cause=Cause.CLIENT)


PUBLISH = Accepted(connection_id="pub", kind="publish")
EVENTS = Accepted(connection_id="ws", kind="events")
REPLICA = Accepted(connection_id="rep", kind="replica")


def test_a_publisher_joins_publishes_and_leaves() -> None:
    _, events = live_through(PUBLISH, Connected(connection_id="pub"), gone("pub"))

    assert names(events) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


def test_a_viewer_joins_watches_and_leaves() -> None:
    _, events = live_through(watch("sub", "Q"), Connected(connection_id="sub"), gone("sub"))

    assert [(event.name, event.remote_participant_id) for event in events] == [
        (EventName.JOINED, None),
        (EventName.SUBSCRIBE_STARTED, "Q"),
        (EventName.SUBSCRIBE_STOPPED, "Q"),
        (EventName.LEFT, None),
    ]


def test_a_viewer_with_an_events_connection_stays_when_its_publisher_stops() -> None:
    participant, events = live_through(EVENTS, watch("sub", "Q"), Connected(connection_id="sub"), gone("sub"))

    assert names(events) == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED"]
    assert participant.presence is Presence.PRESENT


def test_everything_ending_at_once_stops_before_it_leaves() -> None:
    _, events = live_through(
        EVENTS,
        PUBLISH,
        Connected(connection_id="pub"),
        watch("sub", "Q"),
        Connected(connection_id="sub"),
        gone("ws", "pub", "sub"),
    )

    assert names(events[3:]) == ["PUBLISH_STOPPED", "SUBSCRIBE_STOPPED", "LEFT"]


def test_a_participant_who_comes_back_joins_again() -> None:
    _, events = live_through(EVENTS, gone("ws"), EVENTS, gone("ws"))

    assert names(events) == ["JOINED", "LEFT", "JOINED", "LEFT"]


def test_media_that_never_connects_starts_nothing_and_stops_nothing() -> None:
    _, events = live_through(PUBLISH, watch("sub", "Q"), gone("pub", "sub"))

    assert names(events) == ["JOINED", "LEFT"]


def test_two_subscriptions_to_one_publisher_are_two_pairs() -> None:
    _, events = live_through(
        watch("a", "Q"), watch("b", "Q"), Connected(connection_id="a"), Connected(connection_id="b"), gone("a", "b")
    )

    assert names(events).count("SUBSCRIBE_STARTED") == names(events).count("SUBSCRIBE_STOPPED") == 2


def test_a_broken_limit_is_told_before_the_publication_stops() -> None:
    _, events = live_through(
        PUBLISH, Connected(connection_id="pub"), Cut(connection_id="pub", code=ErrorCode.BITRATE_EXCEEDED)
    )

    assert [(event.name, event.error_code) for event in events[2:]] == [
        (EventName.PUBLISH_ERROR, ErrorCode.BITRATE_EXCEEDED),
        (EventName.PUBLISH_STOPPED, None),
        (EventName.LEFT, None),
    ]


def test_a_subscription_that_lasts_too_long_names_its_publisher() -> None:
    _, events = live_through(
        watch("sub", "Q"),
        Connected(connection_id="sub"),
        Cut(connection_id="sub", code=ErrorCode.STREAM_DURATION_EXCEEDED),
    )

    assert [(event.name, event.error_code, event.remote_participant_id) for event in events[2:4]] == [
        (EventName.SUBSCRIBE_ERROR, ErrorCode.STREAM_DURATION_EXCEEDED, "Q"),
        (EventName.SUBSCRIBE_STOPPED, None, "Q"),
    ]


@pytest.mark.parametrize("attempt", ["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR"])
def test_a_refusal_changes_nothing_but_the_book(attempt: str) -> None:
    before, _ = live_through(EVENTS)
    fact = Refused(attempt=attempt, code=ErrorCode.QUOTA_EXCEEDED)  # type: ignore[arg-type]  # parametrised literal

    made = step(before, fact)

    assert made.participant == before
    assert names(list(made.events)) == [attempt]


def test_a_publisher_who_comes_back_goes_on_publishing_without_an_event() -> None:
    participant, events = live_through(
        PUBLISH,
        Connected(connection_id="pub"),
        Replaced(connection_id="pub2", former_connection_id="pub"),
        Connected(connection_id="pub2"),
    )

    assert names(events) == ["JOINED", "PUBLISH_STARTED"]
    assert participant.publication_id == "pub2"
    assert names(live_through(gone("pub2"), participant=participant)[1]) == ["PUBLISH_STOPPED", "LEFT"]


def test_a_replica_is_marked_on_its_own_events_and_on_those_who_watch_it() -> None:
    life = (REPLICA, Connected(connection_id="rep"), gone("rep"))
    _, own = live_through(*life, participant=Participant(is_replica=True))
    remote = Accepted(connection_id="sub", kind="subscribe", remote_participant_id="R", remote_is_replica=True)
    _, watching = live_through(remote, Connected(connection_id="sub"))

    assert names(own) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert all(event.replica for event in own)
    assert watching[1].replica
    assert not watching[0].replica


ILLEGAL = [
    (EVENTS, EVENTS),
    (PUBLISH, Accepted(connection_id="pub2", kind="publish")),
    (EVENTS, Connected(connection_id="ws")),
    (EVENTS, gone("unknown")),
    (EVENTS, Cut(connection_id="ws", code=ErrorCode.QUOTA_EXCEEDED)),
    (EVENTS, Replaced(connection_id="new", former_connection_id="ws")),
]


@pytest.mark.parametrize(("before", "fact"), ILLEGAL)
def test_an_illegal_fact_raises_and_changes_nothing(before: Fact, fact: Fact) -> None:
    participant, _ = live_through(before)
    kept = dict(participant.connections)

    with pytest.raises(IllegalFactError):
        step(participant, fact)

    assert participant.connections == kept


def test_every_move_of_the_table_can_be_reached() -> None:
    reached = {(kind, state) for (kind, state, _) in CONNECTION_MOVES} - {
        (kind, ConnectionState.NONE) for kind in ConnectionKind
    }
    led_to = {(kind, target) for (kind, _, _), (target, _) in CONNECTION_MOVES.items()}

    assert reached <= led_to


CONNECTION_IDS = ["a", "b", "c"]
FACTS = st.one_of(
    st.builds(
        Accepted,
        connection_id=st.sampled_from(CONNECTION_IDS),
        kind=st.sampled_from(["events", "publish", "redundant"]),
    ),
    st.builds(watch, st.sampled_from(CONNECTION_IDS), st.sampled_from(["P", "Q"])),
    st.builds(Connected, connection_id=st.sampled_from(CONNECTION_IDS)),
    st.builds(lambda i: gone(i), st.sampled_from(CONNECTION_IDS)),
    st.builds(Cut, connection_id=st.sampled_from(CONNECTION_IDS), code=st.just(ErrorCode.BITRATE_EXCEEDED)),
    st.builds(
        Replaced,
        connection_id=st.sampled_from(CONNECTION_IDS),
        former_connection_id=st.sampled_from(CONNECTION_IDS),
    ),
)


def legal_life(facts: list[Fact]) -> tuple[Participant, list[Event]]:
    participant = Participant()
    events: list[Event] = []
    for fact in facts:
        try:
            made = step(participant, fact)
        except IllegalFactError:
            continue
        participant = made.participant
        events.extend(made.events)
    return participant, events


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=30))
def test_whatever_happens_joins_frame_everything_else(facts: list[Fact]) -> None:
    participant, events = legal_life(facts)
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
@given(st.lists(FACTS, max_size=30))
def test_when_everything_ends_every_start_has_its_stop(facts: list[Fact]) -> None:
    participant, events = legal_life(facts)
    if participant.connections:
        events += step(participant, gone(*participant.connections)).events

    for started, stopped in (("PUBLISH_STARTED", "PUBLISH_STOPPED"), ("SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED")):
        assert names(events).count(started) == names(events).count(stopped)
    assert names(events).count("JOINED") == names(events).count("LEFT")


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=30))
def test_replayed_events_end_with_what_the_interrupted_run_owed(facts: list[Fact]) -> None:
    participant, events = legal_life(facts)
    owed = step(participant, gone(*participant.connections)).events if participant.connections else ()
    replayed = replay(events)
    paid = step(replayed, gone(*replayed.connections)).events if replayed.connections else ()

    assert sorted((e.name, e.remote_participant_id or "") for e in paid) == sorted(
        (e.name, e.remote_participant_id or "") for e in owed
    )
    assert replayed.presence is participant.presence

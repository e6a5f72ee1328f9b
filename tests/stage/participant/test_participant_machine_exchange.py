"""The participant machine for a token exchange: which connections end, in which order, and which stay."""

import pytest

from stagebook.stage.events import Cause, Event, EventName, ExchangedToken, TokenExchange
from stagebook.stage.participant.event_replay import replay
from stagebook.stage.participant.participant_facts import Accepted, Exchanged, Gone, MediaConnected
from stagebook.stage.participant.participant_machine import IllegalFactError, step
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.participant.record_projection import record_after
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord

BOTH = ("PUBLISH", "SUBSCRIBE")


def side(*capabilities: str, user_id: str = "ada") -> ExchangedToken:
    return ExchangedToken(capabilities=capabilities, attributes={"role": user_id}, user_id=user_id, expiration_ms=1)


def exchange(*capabilities: str) -> Exchanged:
    return Exchanged(exchange=TokenExchange(previous=side(*BOTH), new=side(*capabilities, user_id="grace")))


def on_stage() -> Participant:
    """A participant with an events websocket, a publication, a subscription to P, and one to Q that is opening."""
    participant = Participant()
    for fact in (
        Accepted(connection_id="events", kind="events"),
        Accepted(connection_id="publish", kind="publish"),
        MediaConnected(connection_id="publish"),
        Accepted(connection_id="watch-p", kind="subscribe", remote_participant_id="P"),
        MediaConnected(connection_id="watch-p"),
        Accepted(connection_id="watch-q", kind="subscribe", remote_participant_id="Q"),
    ):
        participant = step(participant, fact).participant
    return participant


def names_and_remotes(events: tuple[Event, ...]) -> list[tuple[str, str | None]]:
    return [(event.name.value, event.remote_participant_id) for event in events]


@pytest.mark.parametrize(
    ("capabilities", "expected", "kept"),
    [
        (BOTH, [], {"events", "publish", "watch-p", "watch-q"}),
        (("SUBSCRIBE",), [("PUBLISH_STOPPED", None)], {"events", "watch-p", "watch-q"}),
        (("PUBLISH",), [("SUBSCRIBE_STOPPED", "P")], {"events", "publish"}),
        ((), [("PUBLISH_STOPPED", None), ("SUBSCRIBE_STOPPED", "P")], {"events"}),
    ],
    ids=["both", "watch", "publish", "nothing"],
)
def test_connections_that_the_new_token_does_not_allow_end_after_the_exchange(
    capabilities: tuple[str, ...], expected: list[tuple[str, str | None]], kept: set[str]
) -> None:
    made = step(on_stage(), exchange(*capabilities))
    assert names_and_remotes(made.events) == [("TOKEN_EXCHANGED", None), *expected]
    assert set(made.participant.connections) == kept


def test_the_cause_of_the_exchange_is_the_client_and_that_of_the_stops_is_the_exchange() -> None:
    events = step(on_stage(), exchange("SUBSCRIBE")).events
    assert [event.cause for event in events] == [Cause.CLIENT, Cause.TOKEN_EXCHANGED]
    assert events[0].exchange == exchange("SUBSCRIBE").exchange
    assert events[1].exchange is None


def test_a_participant_that_only_published_leaves_when_it_loses_publish() -> None:
    publisher = step(Participant(), Accepted(connection_id="publish", kind="publish")).participant
    publisher = step(publisher, MediaConnected(connection_id="publish")).participant
    made = step(publisher, exchange("SUBSCRIBE"))
    assert [event.name for event in made.events] == [
        EventName.TOKEN_EXCHANGED,
        EventName.PUBLISH_STOPPED,
        EventName.LEFT,
    ]
    assert [event.cause for event in made.events] == [Cause.CLIENT, Cause.TOKEN_EXCHANGED, Cause.TOKEN_EXCHANGED]
    assert not made.participant.connections


def test_an_exchange_is_illegal_for_a_participant_that_is_not_on_the_stage() -> None:
    with pytest.raises(IllegalFactError):
        step(Participant(), exchange(*BOTH))


def test_the_row_follows_the_new_token() -> None:
    record = ParticipantRecord(participant_id="A", user_id="ada", attributes={"role": "ada"}, published=True)
    after = record_after(record, step(on_stage(), exchange(*BOTH)).events, at_ms=5, protocol=ParticipantProtocol.WHIP)
    assert (after.user_id, after.attributes, after.published) == ("grace", {"role": "grace"}, True)


def test_replayed_events_with_an_exchange_leave_the_remaining_connections_open() -> None:
    start = [Event(name=EventName.JOINED), Event(name=EventName.PUBLISH_STARTED)]
    watching = Event(name=EventName.SUBSCRIBE_STARTED, remote_participant_id="P")
    downgraded = step(on_stage(), exchange("SUBSCRIBE")).events
    open_part = replay([*start, watching, *downgraded])
    gone = step(open_part, Gone(connection_ids=tuple(open_part.connections), cause=Cause.CRASH_RECOVERY))
    assert names_and_remotes(gone.events) == [("SUBSCRIBE_STOPPED", "P"), ("LEFT", None)]
    assert names_and_remotes(
        step(replay([*start[:1], downgraded[0]]), Gone(connection_ids=("replayed",), cause=Cause.CRASH_RECOVERY)).events
    ) == [("LEFT", None)]

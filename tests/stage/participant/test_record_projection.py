"""The row of a participant, derived from its events."""

from stagebook.stage.events import Event, EventName
from stagebook.stage.participant.record_projection import record_after
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, ParticipantState

WHIP = ParticipantProtocol.WHIP


def after(*names: EventName, record: ParticipantRecord | None = None, at_ms: int = 1_000) -> ParticipantRecord:
    start = record or ParticipantRecord(participant_id="P")
    return record_after(start, [Event(name=name) for name in names], at_ms=at_ms, protocol=WHIP)


def test_joined_connects_and_keeps_the_time_of_the_first_join() -> None:
    first = after(EventName.JOINED)
    again = after(EventName.LEFT, EventName.JOINED, record=first, at_ms=9_000)

    assert first.state is ParticipantState.CONNECTED
    assert again.first_join_ms == first.first_join_ms == 1_000


def test_left_disconnects() -> None:
    assert after(EventName.JOINED, EventName.LEFT).state is ParticipantState.DISCONNECTED


def test_published_means_ever_published() -> None:
    record = after(EventName.JOINED, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, EventName.LEFT)

    assert record.published
    assert record.protocol is WHIP


def test_an_error_does_not_change_the_row() -> None:
    start = ParticipantRecord(participant_id="P")

    assert after(EventName.PUBLISH_ERROR, record=start) is start

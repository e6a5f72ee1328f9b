"""One of the redundant streams behind a virtual participant: it publishes, and is neither watched nor replicated."""

import pytest
from tests.stage.test_participant import live_through, names

from stagebook.stage.events import Cause, ErrorCode, ReplicationDestination
from stagebook.stage.participant.participant_facts import Accepted, Connected, Cut, Fact, Gone, Replaced, Replicated
from stagebook.stage.participant.participant_machine import IllegalFactError, Participant, step

STREAM = Accepted(connection_id="stream", kind="redundant")
FLOWING = (STREAM, Connected(connection_id="stream"))
GONE = Gone(connection_ids=("stream",), cause=Cause.CLIENT)


def test_it_has_the_events_of_a_publisher() -> None:
    assert names(live_through(*FLOWING, GONE)[1]) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert names(live_through(STREAM, GONE)[1]) == ["JOINED", "LEFT"]


@pytest.mark.parametrize(
    ("life", "end"),
    [((STREAM,), ["PUBLISH_ERROR", "LEFT"]), (FLOWING, ["PUBLISH_ERROR", "PUBLISH_STOPPED", "LEFT"])],
)
def test_it_is_cut_before_and_after_it_flows(life: tuple[Fact, ...], end: list[str]) -> None:
    participant, _ = live_through(*life)
    cut = Cut(connection_id="stream", code=ErrorCode.INVALID_INPUT)
    _, events = live_through(cut, participant=participant)
    assert names(events) == end
    assert events[0].error_code is ErrorCode.INVALID_INPUT


def test_it_publishes_and_is_no_publication_to_watch() -> None:
    participant, _ = live_through(*FLOWING)
    assert participant.is_publishing
    assert participant.publication_id is None


@pytest.mark.parametrize(
    "fact",
    [
        Replicated(replication_id="r", destination=ReplicationDestination(stage_arn="there", session_id="st-there")),
        Replaced(connection_id="other", former_connection_id="stream"),
        Accepted(connection_id="other", kind="redundant"),
        Accepted(connection_id="other", kind="publish"),
    ],
)
def test_it_is_not_replicated_nor_replaced_nor_doubled(fact: Fact) -> None:
    participant, _ = live_through(*FLOWING)
    with pytest.raises(IllegalFactError):
        step(participant, fact)


def test_who_publishes_has_no_redundant_stream() -> None:
    publisher, _ = live_through(Accepted(connection_id="pub", kind="publish"))
    for participant in (publisher, Participant(is_replica=True)):
        with pytest.raises(IllegalFactError):
            step(participant, STREAM)

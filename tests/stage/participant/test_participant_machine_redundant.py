"""The participant machine for one redundant stream: it publishes, and is neither watched nor replicated."""

import pytest

from stagebook.stage.events import ErrorCode, ReplicationDestination
from stagebook.stage.participant.participant_facts import Accepted, Cut, MediaConnected, ParticipantFact, Replicated
from stagebook.stage.participant.participant_machine import IllegalFactError, step
from stagebook.stage.participant.participant_state import Participant
from tests.stage.participant.participant_steps import apply_facts, gone, names

STREAM = Accepted(connection_id="stream", kind="redundant")
FLOWING = (STREAM, MediaConnected(connection_id="stream"))


def test_a_stream_has_the_events_of_a_publisher() -> None:
    published = apply_facts(*FLOWING, gone("stream"))[1]
    never_connected = apply_facts(STREAM, gone("stream"))[1]

    assert names(published) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert names(never_connected) == ["JOINED", "LEFT"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [((STREAM,), ["PUBLISH_ERROR", "LEFT"]), (FLOWING, ["PUBLISH_ERROR", "PUBLISH_STOPPED", "LEFT"])],
    ids=["opening", "flowing"],
)
def test_a_stream_can_be_cut(before: tuple[ParticipantFact, ...], expected: list[str]) -> None:
    participant, _ = apply_facts(*before)

    _, events = apply_facts(Cut(connection_id="stream", code=ErrorCode.INVALID_INPUT), participant=participant)

    assert names(events) == expected
    assert events[0].error_code is ErrorCode.INVALID_INPUT


def test_a_stream_publishes_but_is_no_publication_to_watch() -> None:
    participant, _ = apply_facts(*FLOWING)

    assert participant.is_publishing
    assert participant.publication_id is None


@pytest.mark.parametrize(
    "fact",
    [
        Replicated(replication_id="r", destination=ReplicationDestination(stage_arn="there", session_id="st-there")),
        Accepted(connection_id="other", kind="redundant"),
        Accepted(connection_id="other", kind="publish"),
    ],
    ids=["replicated", "second stream", "replacement"],
)
def test_a_stream_is_not_replicated_and_has_no_replacement(fact: ParticipantFact) -> None:
    participant, _ = apply_facts(*FLOWING)

    with pytest.raises(IllegalFactError):
        step(participant, fact)


def test_neither_a_publisher_nor_a_replica_has_a_redundant_stream() -> None:
    publisher, _ = apply_facts(Accepted(connection_id="pub", kind="publish"))
    for participant in (publisher, Participant(is_replica=True)):
        with pytest.raises(IllegalFactError):
            step(participant, STREAM)

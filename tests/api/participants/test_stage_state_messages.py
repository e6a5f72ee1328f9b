"""The presence messages of the events websocket."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants import stage_state_messages
from stagebook.api.participants.stage_state_messages import StageStateEncoder, message_type
from stagebook.manager.presence.watchers import PresentParticipant, StageSnapshot

SNAPSHOT = StageSnapshot(
    stage_id="abcdABCDefgh",
    participants=(
        PresentParticipant(participant_id="p1", user_id="ada", attributes={"role": "höst"}, is_publishing=True),
        PresentParticipant(participant_id="p2", user_id="", attributes={}, is_publishing=False),
    ),
)


def test_a_stage_state_lists_all_participants() -> None:
    assert json.loads(StageStateEncoder().encode(SNAPSHOT)) == {
        "type": "STAGE_STATE",
        "payload": {
            "stageId": "abcdABCDefgh",
            "participants": [
                {"id": "p1", "userId": "ada", "attributes": {"role": "höst"}, "isPublishing": True},
                {"id": "p2", "userId": "", "attributes": {}, "isPublishing": False},
            ],
        },
    }


def test_one_snapshot_is_encoded_once() -> None:
    encoder = StageStateEncoder()
    assert encoder.encode(SNAPSHOT) is encoder.encode(SNAPSHOT)


def test_the_next_snapshot_is_encoded_again() -> None:
    encoder = StageStateEncoder()
    encoder.encode(SNAPSHOT)
    empty = StageSnapshot(stage_id="abcdABCDefgh", participants=())
    assert json.loads(encoder.encode(empty))["payload"]["participants"] == []


@pytest.mark.parametrize("message", [stage_state_messages.PING, stage_state_messages.PONG])
def test_ping_and_pong_have_only_a_type(message: str) -> None:
    assert json.loads(message) == {"type": message_type(message)}


def test_further_members_are_ignored() -> None:
    assert message_type('{"time": 1, "type": "PING", "payload": {"a": []}}') == "PING"


@pytest.mark.parametrize("text", ["", "ping", "[]", "{}", '{"type": 1}', '{"type"', "null", "[" * 4_000])
def test_text_that_is_no_message_has_no_type(text: str) -> None:
    assert message_type(text) is None


@given(st.text(max_size=200))
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    message_type(text)

"""The presence messages of the events websocket."""

import gc
import json
import sys
import weakref
import zlib
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants import stage_state_messages
from stagebook.api.participants.stage_state_messages import (
    MAX_PART_SIZE_BYTES,
    MAX_PIECE_SIZE_BYTES,
    PART_SIZE_BYTES,
    PIECE_SIZE_BYTES,
    StageStateEncoder,
    StageStateEncoders,
    StageStateMessage,
    message_type,
)
from stagebook.manager.presence.watchers import PresentParticipant, StageChange, StageSnapshot
from stagebook.stage.json_depth import MAX_JSON_DEPTH

UNMUTED = {"audioMuted": False, "videoStopped": False}
SNAPSHOT = StageSnapshot(
    stage_id="abcdABCDefgh",
    sequence_number=1,
    participants=(
        PresentParticipant(participant_id="p1", user_id="ada", attributes={"role": "höst"}, is_publishing=True),
        PresentParticipant(participant_id="p2", user_id="", attributes={}, is_publishing=False),
    ),
)


def test_a_stage_state_lists_all_participants() -> None:
    assert json.loads(StageStateEncoder().encode(SNAPSHOT).text) == {
        "type": "STAGE_STATE",
        "payload": {
            "stageId": "abcdABCDefgh",
            "sequenceNumber": 1,
            "participants": [
                {"id": "p1", "userId": "ada", "attributes": {"role": "höst"}, "isPublishing": True, **UNMUTED},
                {"id": "p2", "userId": "", "attributes": {}, "isPublishing": False, **UNMUTED},
            ],
        },
    }


def test_one_snapshot_is_encoded_once() -> None:
    encoder = StageStateEncoder()
    first = encoder.encode(SNAPSHOT)
    assert encoder.encode(SNAPSHOT) is first


def test_the_next_snapshot_is_encoded_again() -> None:
    encoder = StageStateEncoder()
    encoder.encode(SNAPSHOT)
    empty = StageSnapshot(stage_id="abcdABCDefgh", sequence_number=2, participants=())
    assert json.loads(encoder.encode(empty).text)["payload"]["participants"] == []


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


def stage_of(participant_ids: Iterable[str], *, attribute: str = "") -> StageSnapshot:
    participants = tuple(
        PresentParticipant(
            participant_id=name, user_id="é", attributes={"a": attribute} if attribute else {}, is_publishing=False
        )
        for name in participant_ids
    )
    return StageSnapshot(stage_id="abcdABCDefgh", sequence_number=1, participants=participants)


NAMES = [f"participant-{number}" for number in range(3_000)]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200, 3_000])
def test_the_parts_together_are_the_message(count: int) -> None:
    message = StageStateEncoder().encode(stage_of(NAMES[:count]))
    shown = json.loads(message.text)["payload"]["participants"]
    assert [participant["id"] for participant in shown] == NAMES[:count]
    assert message.size_bytes == len(message.text.encode())
    assert all(all(part) for part in message.parts)


def test_a_message_of_a_small_stage_is_one_part() -> None:
    assert StageStateEncoder().encode(stage_of(NAMES[:100])).part_count == 1


def nodes(message: StageStateMessage) -> Iterator[object]:
    """Yield everything that a message consists of."""
    yield message.sections
    for section in message.sections:
        yield section
        for part in section:
            yield part
            yield from part


@pytest.mark.parametrize(
    "later", [NAMES[1:], [*NAMES, "late"], [*NAMES[:1_500], *NAMES[1_501:]]], ids=["first", "last", "middle"]
)
def test_a_change_of_one_participant_makes_few_new_bytes(later: list[str]) -> None:
    """So messages that slow sockets have not finished do not keep a copy of the stage each."""
    encoder = StageStateEncoder()
    before = encoder.encode(stage_of(NAMES, attribute="x" * 1_000))
    after = encoder.encode(stage_of(later, attribute="x" * 1_000))
    kept = {id(node) for node in nodes(before)}
    new_bytes = sum(sys.getsizeof(node) for node in nodes(after) if id(node) not in kept)
    assert new_bytes < 6_000
    assert len(json.loads(after.text)["payload"]["participants"]) == len(later)


def test_the_parts_and_pieces_have_about_one_size() -> None:
    for attribute in ("", "x" * 1_000):
        message = StageStateEncoder().encode(stage_of(NAMES, attribute=attribute))
        pieces = sum(map(len, message.parts))
        assert PART_SIZE_BYTES / 2 < message.size_bytes / message.part_count < PART_SIZE_BYTES * 2
        assert PIECE_SIZE_BYTES / 2 < message.size_bytes / pieces < PIECE_SIZE_BYTES * 2


def test_the_size_of_a_part_is_bounded_for_ids_that_are_never_cut() -> None:
    """An application that signs its own tokens chooses the ids."""
    names = [name for name in NAMES if zlib.crc32(name.encode()) > 1 << 31]
    parts = list(StageStateEncoder().encode(stage_of(names, attribute="x" * 1_000)).parts)
    assert max(sum(map(len, part)) for part in parts) < MAX_PART_SIZE_BYTES + 2_000
    assert max(len(piece) for part in parts for piece in part) < MAX_PIECE_SIZE_BYTES + 2_000


def test_the_sockets_of_a_stage_share_an_encoder_that_ends_with_the_last_one() -> None:
    encoders = StageStateEncoders()
    encoder = encoders.of_list("one", publishers_only=False)
    message = weakref.ref(encoder.encode(SNAPSHOT))
    assert encoders.of_list("one", publishers_only=False) is encoder
    assert encoders.of_list("two", publishers_only=False) is not encoder
    assert encoders.of_list("one", publishers_only=True) is not encoder
    del encoder
    gc.collect()
    assert message() is None


def test_a_change_is_encoded_once() -> None:
    encoder = StageStateEncoder()
    change = StageChange(
        stage_id="abcdABCDefgh",
        base_sequence_number=7,
        sequence_number=9,
        joined=SNAPSHOT.participants[:1],
        updated=SNAPSHOT.participants[1:],
        left=("p3",),
    )
    message = encoder.encode_change(change)
    assert encoder.encode_change(change) is message
    assert json.loads(message.text) == {
        "type": "STAGE_STATE_CHANGE",
        "payload": {
            "stageId": "abcdABCDefgh",
            "baseSequenceNumber": 7,
            "sequenceNumber": 9,
            "joined": [{"id": "p1", "userId": "ada", "attributes": {"role": "höst"}, "isPublishing": True, **UNMUTED}],
            "updated": [{"id": "p2", "userId": "", "attributes": {}, "isPublishing": False, **UNMUTED}],
            "left": ["p3"],
        },
    }


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH, 5_000])
def test_a_message_that_is_nested_too_deeply_has_no_type(depth: int) -> None:
    assert message_type('{"x": ' + "[" * depth + "]" * depth + ', "type": "PING"}') is None
    assert message_type('{"x": ' + '{"x":' * depth + "0" + "}" * depth + ', "type": "PING"}') is None


def test_brackets_in_a_string_are_no_nesting() -> None:
    assert message_type('{"x": "' + '[{\\"' * 2_000 + '", "type": "PING"}') == "PING"


class TestWrapped:
    @pytest.mark.parametrize("count", [0, 1, 400, 4_000])
    def test_a_wrapped_message_is_between_two_pieces_and_shares_all_others(self, count: int) -> None:
        present = [
            PresentParticipant(participant_id=f"p{number}", user_id="", attributes={}, is_publishing=True)
            for number in range(count)
        ]
        snapshot = StageSnapshot(stage_id="s", participants=tuple(present), sequence_number=1)
        message = StageStateEncoder().encode(snapshot)
        wrapped = message.wrapped(b"<", b">")
        assert wrapped.text == f"<{message.text}>"
        assert wrapped.part_count == message.part_count
        pieces = {id(piece) for part in message.parts for piece in part}
        assert len([piece for part in wrapped.parts for piece in part if id(piece) not in pieces]) == 2
        assert all(one is other for one, other in zip(wrapped.sections[1:-1], message.sections[1:-1], strict=True))

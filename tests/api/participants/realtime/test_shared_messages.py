"""The frames of a shared websocket, as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants.problem_responses import Problem
from stagebook.api.participants.realtime import shared_messages
from stagebook.api.participants.realtime.shared_messages import AnswerIds, JoinStage, SharedMessage


def test_the_message_of_a_stage_keeps_its_text() -> None:
    text = '{"logicalId":"a-1","message":{"type":"T","é":[1]},"later":1}'
    assert shared_messages.parse_message(text) == SharedMessage(logical_id="a-1", type="T", text='{"type":"T","é":[1]}')


def test_a_message_of_the_websocket_has_no_logical_id() -> None:
    assert shared_messages.parse_message('{"type":"PING"}') == SharedMessage(
        logical_id=None, type="PING", text='{"type":"PING"}'
    )


@given(st.text(max_size=200) | st.recursive(st.none() | st.text(max_size=5), st.lists).map(json.dumps))
def test_any_text_is_a_message_or_none(text: str) -> None:
    message = shared_messages.parse_message(text)
    assert message is None or isinstance(message.type, str)


def test_a_join_has_a_token_and_ids() -> None:
    text = '{"type":"aws:ivs:JOIN_STAGE","payload":{"token":"T","requestId":"r","traceId":"t","x":1}}'
    assert shared_messages.parse_join(text) == JoinStage(token="T", ids=AnswerIds(request_id="r", trace_id="t"))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"token": "T"},
        {"token": 1, "requestId": "r"},
        {"token": "T", "requestId": "r" * 65},
        {"token": "T", "requestId": "r", "traceId": "t" * 129},
    ],
)
def test_a_join_that_cannot_be_answered_is_none(payload: dict[str, object]) -> None:
    assert shared_messages.parse_join(json.dumps({"type": "aws:ivs:JOIN_STAGE", "payload": payload})) is None


@pytest.mark.parametrize(
    ("ping", "pong"),
    [
        ({"type": "PING"}, {"type": "PONG"}),
        ({"type": "PING", "payload": 1}, {"type": "PONG"}),
        ({"type": "PING", "payload": {"requestId": "r" * 65}}, {"type": "PONG"}),
        (
            {"type": "PING", "payload": {"requestId": "r", "traceId": "t", "x": "y"}},
            {"type": "PONG", "payload": {"requestId": "r", "traceId": "t"}},
        ),
    ],
)
def test_a_pong_repeats_the_ids_of_its_ping(ping: dict[str, object], pong: dict[str, object]) -> None:
    assert json.loads(shared_messages.pong(json.dumps(ping))) == pong


@pytest.mark.parametrize(("status", "is_fatal"), [(401, True), (403, True), (404, True), (429, False), (503, False)])
def test_a_refusal_is_fatal_unless_the_client_shall_ask_again(status: int, *, is_fatal: bool) -> None:
    text = shared_messages.not_joined(AnswerIds(request_id="r"), Problem(status=status, code="C", message="m"))
    assert json.loads(text)["payload"]["error"]["fatal"] is is_fatal

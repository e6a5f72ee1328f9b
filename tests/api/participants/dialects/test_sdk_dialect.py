"""The messages of the Web Broadcast SDK's dialect."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants.dialects.sdk_dialect import MAXIMUM_ID_LENGTH, SdkDialect
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.claims import Claims
from stagebook.stage.errors import ExchangeRefusedError
from tests.api.participants.fake_manager import FakeManager
from tests.api.participants.test_events_websocket import SDK_QUERY, connected

DIALECT = SdkDialect()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (FarewellReason.DISCONNECTED, "PARTICIPANT_DISCONNECTED"),
        (FarewellReason.STAGE_DELETED, "STAGE_DELETED"),
        (FarewellReason.CONNECTION_TOKEN_REVOKED, "CONNECTION_TOKEN_REVOKED"),
    ],
)
@pytest.mark.parametrize("detail", ["", 'too "loud"'])
def test_a_farewell_is_a_disconnect_message_with_a_code_and_a_text(
    reason: FarewellReason, code: str, detail: str
) -> None:
    message = json.loads(DIALECT.farewell(reason, detail) or "")
    assert message["type"] == "aws:ivs:DISCONNECT"
    assert message["payload"]["code"] == code
    assert message["payload"]["reason"]
    assert not detail or message["payload"]["reason"] == detail


def test_a_shutdown_has_no_disconnect_message_so_that_the_sdk_comes_back() -> None:
    assert DIALECT.farewell(FarewellReason.SHUTDOWN, "") is None


REQUEST = {"oldToken": "old.body.sign", "newToken": "new.body.sign", "requestId": "r-1", "traceId": "1-6b-47"}
EXCHANGE = json.dumps({"type": "aws:ivs:EXCHANGE_TOKEN", "payload": REQUEST})


class TestExchange:
    """Over a websocket at the SDK's address."""

    async def answers(self, manager: FakeManager, *texts: str, limits: RequestLimits | None = None) -> list[Any]:
        async with connected(manager, path="/events", query=SDK_QUERY, limits=limits) as socket:
            for text in texts:
                socket.send_text(text)
            answers = [await socket.receive_json() for _ in texts]
            socket.leave()
        return answers

    async def test_a_successful_exchange_returns_both_ids(self) -> None:
        manager = FakeManager()
        (answer,) = await self.answers(manager, EXCHANGE)
        assert answer == {"type": "aws:ivs:EXCHANGE_TOKEN", "payload": {"requestId": "r-1", "traceId": "1-6b-47"}}
        assert ("exchange_token", "connection-3", "new.body.sign") in manager.calls

    async def test_a_refused_exchange_has_an_error_and_no_trace_id_which_would_be_a_success(self) -> None:
        dialect = SdkDialect()

        async def refuse(_token: str) -> Claims:
            raise ExchangeRefusedError("the tokens are for different participants")

        assert json.loads(await dialect.answer_exchange(EXCHANGE, refuse)) == {
            "type": "aws:ivs:EXCHANGE_TOKEN",
            "payload": {
                "requestId": "r-1",
                "error": {"code": "TOKEN_NOT_EXCHANGEABLE", "message": "the tokens are for different participants"},
            },
        }

    @pytest.mark.parametrize(
        "payload",
        [
            None,
            [],
            {},
            {**REQUEST, "newToken": None},
            {**REQUEST, "newToken": ["new.body.sign"]},
            {**REQUEST, "requestId": 5},
            {**REQUEST, "traceId": None},
            {**REQUEST, "requestId": "x" * (MAXIMUM_ID_LENGTH + 1)},
            {**REQUEST, "traceId": "x" * (MAXIMUM_ID_LENGTH + 1)},
        ],
        ids=lambda payload: str(payload)[:60],
    )
    async def test_a_malformed_message_is_refused_without_ids(self, payload: object) -> None:
        manager = FakeManager()
        (answer,) = await self.answers(manager, json.dumps({"type": "aws:ivs:EXCHANGE_TOKEN", "payload": payload}))
        assert answer["type"] == "aws:ivs:EXCHANGE_TOKEN"
        assert set(answer["payload"]) == {"error"}
        assert answer["payload"]["error"]["code"] == "MALFORMED_MESSAGE"
        assert not [call for call in manager.calls if call[0] == "exchange_token"]

    async def test_ids_of_the_maximum_length_are_returned(self) -> None:
        ids = {"requestId": "é" * MAXIMUM_ID_LENGTH, "traceId": '"' * MAXIMUM_ID_LENGTH}
        text = json.dumps({"type": "aws:ivs:EXCHANGE_TOKEN", "payload": {**REQUEST, **ids}})
        (answer,) = await self.answers(FakeManager(), text)
        assert answer["payload"] == ids

    async def test_exchanges_are_rate_limited_as_attempts(self) -> None:
        manager = FakeManager()
        accepted, refused = await self.answers(manager, EXCHANGE, EXCHANGE, limits=RequestLimits(attempts_burst=2))
        assert "traceId" in accepted["payload"]
        assert refused["payload"]["error"]["code"] == "TOO_MANY_REQUESTS"

    async def test_the_message_of_the_other_dialect_is_ignored(self) -> None:
        manager = FakeManager()
        simple = '{"type":"EXCHANGE_TOKEN","token":"new.body.sign"}'
        async with connected(manager, path="/events", query=SDK_QUERY) as socket:
            socket.send_text(simple)
            socket.send_text('{"type":"PING"}')
            assert await socket.receive_json() == {"type": "PONG"}
            socket.leave()


@given(st.text(max_size=200) | st.recursive(st.none() | st.text(max_size=9), st.lists, max_leaves=5).map(json.dumps))
def test_any_text_is_answered(text: str) -> None:
    async def refuse(_token: str) -> Claims:
        raise ExchangeRefusedError("no")

    answer = json.loads(asyncio.run(DIALECT.answer_exchange(text, refuse)))
    assert set(answer["payload"]) == {"error"}


def test_each_other_reason_of_a_farewell_has_a_message() -> None:
    for reason in set(FarewellReason) - {FarewellReason.SHUTDOWN}:
        assert DIALECT.farewell(reason, "") is not None

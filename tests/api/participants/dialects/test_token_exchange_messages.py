"""The token exchange on the events websocket, and connection tokens in every request that opens a connection."""

import asyncio
import contextlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.participants.dialects.token_exchange_messages import parse_exchange_request
from stagebook.api.participants.problem_responses import RequestRefusedError
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.stage.errors import ExchangeRefusedError, StagebookError, TokenRefusal, TokenRefusedError
from tests.api.participants.fake_manager import TOKEN, FakeManager
from tests.api.participants.test_events_websocket import FakeSocket, connected, snapshot, watcher_of
from tests.api.participants.whip.test_whip_endpoint import OFFER, client_of

NEW_TOKEN = "new.body.sign"
EXCHANGE = json.dumps({"type": "EXCHANGE_TOKEN", "token": NEW_TOKEN})


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


def exchanges(manager: FakeManager) -> list[tuple[object, ...]]:
    return [call for call in manager.calls if call[0] == "exchange_token"]


class TestExchange:
    async def test_a_successful_exchange_is_answered_with_the_new_claims(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            socket.send_text(EXCHANGE)
            assert await socket.receive_json() == {
                "type": "TOKEN_EXCHANGED",
                "payload": {
                    "participantId": "abCDEf12GHIj",
                    "userId": "ada",
                    "attributes": {},
                    "capabilities": ["PUBLISH", "SUBSCRIBE"],
                    "expirationTime": 2_000_000_000,
                },
            }
            socket.leave()
        assert exchanges(manager) == [("exchange_token", "connection-3", NEW_TOKEN)]

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ExchangeRefusedError("the tokens are for different users"), "TOKEN_NOT_EXCHANGEABLE"),
            (TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="the token has expired"), "TOKEN_EXPIRED"),
        ],
    )
    async def test_a_refused_exchange_is_answered_and_the_connection_stays_open(
        self, manager: FakeManager, error: StagebookError, code: str
    ) -> None:
        async with connected(manager) as socket:
            manager.failure = error
            socket.send_text(EXCHANGE)
            assert await socket.receive_json() == {
                "type": "EXCHANGE_TOKEN_ERROR",
                "payload": {"code": code, "message": str(error)},
            }
            socket.send_text('{"type":"PING"}')
            assert await socket.receive_json() == {"type": "PONG"}
            socket.leave()

    @pytest.mark.parametrize("message", [{}, {"token": None}, {"token": 5}, {"token": [NEW_TOKEN]}], ids=str)
    async def test_a_message_without_a_token_is_answered_with_an_error(
        self, manager: FakeManager, message: dict[str, Any]
    ) -> None:
        async with connected(manager) as socket:
            socket.send_text(json.dumps({"type": "EXCHANGE_TOKEN", **message}))
            answer = await socket.receive_json()
            assert (answer["type"], answer["payload"]["code"]) == ("EXCHANGE_TOKEN_ERROR", "MALFORMED_MESSAGE")
            socket.leave()
        assert exchanges(manager) == []

    async def test_answers_come_in_the_order_of_the_requests(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            for text in (EXCHANGE, '{"type":"EXCHANGE_TOKEN"}', EXCHANGE):
                socket.send_text(text)
            answers = [(await socket.receive_json())["type"] for _ in range(3)]
            assert answers == ["TOKEN_EXCHANGED", "EXCHANGE_TOKEN_ERROR", "TOKEN_EXCHANGED"]
            socket.leave()

    async def test_exchanges_are_rate_limited_as_attempts(self, manager: FakeManager) -> None:
        async with connected(manager, limits=RequestLimits(attempts_burst=2)) as socket:
            for code in (None, "TOO_MANY_REQUESTS"):
                socket.send_text(EXCHANGE)
                assert (await socket.receive_json())["payload"].get("code") == code
            socket.leave()
        assert len(exchanges(manager)) == 1

    async def test_snapshots_are_sent_while_an_exchange_is_in_progress(self, manager: FakeManager) -> None:
        manager.exchange_gate = asyncio.Event()
        async with connected(manager) as socket:
            socket.send_text(EXCHANGE)
            watcher_of(manager).show(snapshot("A"))
            assert (await socket.receive_json())["type"] == "STAGE_STATE"
            manager.exchange_gate.set()
            assert (await socket.receive_json())["type"] == "TOKEN_EXCHANGED"
            socket.leave()

    async def test_a_token_of_maximum_size_fits_a_message(self, manager: FakeManager) -> None:
        token = f"{'x' * 6_000}.{'y' * 6_000}.{'z' * 128}"
        async with connected(manager) as socket:
            socket.send_text(json.dumps({"type": "EXCHANGE_TOKEN", "token": token}))
            assert (await socket.receive_json())["type"] == "TOKEN_EXCHANGED"
            socket.leave()
        assert exchanges(manager)[0][2] == token


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | st.recursive(st.none() | st.text(max_size=9), st.lists, max_leaves=5).map(json.dumps))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(RequestRefusedError):
        assert parse_exchange_request(text) == json.loads(text)["token"]


class TestConnectionTokens:
    async def test_a_websocket_handshake_carries_it_as_a_second_subprotocol(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager)
        await socket.serve(subprotocols=("connection-token.its.body.sign", TOKEN), leaving=True)
        assert await socket.receive() == {"type": "websocket.accept", "subprotocol": TOKEN, "headers": []}
        assert manager.calls[0] == ("admit", "its.body.sign")

    async def test_it_does_not_replace_the_participant_token(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager)
        await socket.serve(subprotocols=(f"connection-token.{TOKEN}",))
        assert (await socket.receive())["status"] == 401

    @pytest.mark.parametrize("path", ["/whip", "/", "/whip/subscribe/Publisher000"])
    async def test_an_offer_carries_it_as_a_header_field(self, manager: FakeManager, path: str) -> None:
        async with client_of(manager) as client:
            response = await client.post(path, content="v=0", headers={**OFFER, "Connection-Token": "its.body.sign"})
        assert response.status_code == 201
        assert manager.calls[0] == ("admit", "its.body.sign")

    async def test_a_refused_one_is_a_403(self, manager: FakeManager) -> None:
        manager.admission_failure = TokenRefusedError(refusal=TokenRefusal.CONNECTION_TOKEN, detail="revoked")
        async with client_of(manager) as client:
            response: httpx.Response = await client.post("/whip", content="v=0", headers=OFFER)
        assert (response.status_code, response.json()["code"]) == (403, "TOKEN_CONNECTION_TOKEN")

"""JOIN_ERROR: the refusal of a handshake over the accepted websocket."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from stagebook.api.participants.dialects.events_address import takes_join_errors
from stagebook.api.participants.dialects.join_errors import CODES, RETRIED, join_error
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.problem_responses import INTERNAL, RequestRefusedError, problem_of
from stagebook.api.participants.request_limits import RequestLimits, too_many_requests
from stagebook.server.http.websocket_protocol import WebSocketProtocol
from stagebook.stage.errors import (
    AttemptRefusedError,
    ServerBusyError,
    StagebookError,
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import ErrorCode
from tests.api.participants.fake_manager import TOKEN, FakeManager
from tests.api.participants.test_events_websocket import DEADLINE_SECONDS, PATH, SDK_QUERY, FakeSocket
from tests.server.http.test_websocket_protocol import running_server

UNDERSTOOD = {"TOKEN_EXPIRED", "TOKEN_INVALID", "STAGE_DELETED", "PARTICIPANT_DISCONNECTED", "BAD_REQUEST"}
"""The codes for which the SDK has an ERROR event."""


def refused(refusal: TokenRefusal) -> TokenRefusedError:
    return TokenRefusedError(refusal=refusal, detail="because")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(TokenRefusal.EXPIRED), "TOKEN_EXPIRED"),
        (refused(TokenRefusal.SIGNATURE), "TOKEN_INVALID"),
        (refused(TokenRefusal.JTI_IN_USE), "TOKEN_INVALID"),
        (refused(TokenRefusal.STAGE_DELETED), "STAGE_DELETED"),
        (refused(TokenRefusal.PARTICIPANT_DISCONNECTED), "PARTICIPANT_DISCONNECTED"),
        (AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="the stage is full"), "BAD_REQUEST"),
        (ServerBusyError("try again"), None),
        (too_many_requests("slower"), None),
    ],
    ids=str,
)
def test_a_refusal_has_the_nearest_code_unless_the_client_should_try_again(
    error: StagebookError | RequestRefusedError, code: str | None
) -> None:
    text = join_error(problem_of(error), is_sdk=True)
    if code is None:
        assert text is None
    else:
        assert json.loads(text or "") == {
            "type": "aws:ivs:JOIN_ERROR",
            "payload": {"code": code, "message": problem_of(error).message},
        }


def test_a_failure_of_the_server_is_a_plain_refusal() -> None:
    assert join_error(INTERNAL, is_sdk=True) is None
    assert join_error(INTERNAL, is_sdk=False) is None


def test_each_refusal_of_a_token_has_a_code_that_the_sdk_understands() -> None:
    for refusal in TokenRefusal:
        assert CODES[f"TOKEN_{refusal.name}"] in UNDERSTOOD - {"BAD_REQUEST"}
    assert set(CODES.values()) <= UNDERSTOOD
    assert not RETRIED & set(CODES)


@pytest.mark.parametrize(
    ("query", "takes"),
    [
        (SDK_QUERY, True),
        ("error_over_ws=1", True),
        ("error_over_ws=0&topic=a", False),
        ("topic=a/publishers", False),
        ("", False),
        ("error_over_ws=1&" + "a=1&" * 16, False),
    ],
)
def test_only_clients_that_ask_for_it_get_it(query: str, takes: bool) -> None:  # noqa: FBT001 - by name
    assert takes_join_errors(query.encode()) is takes


class TestHandshake:
    async def messages(
        self,
        manager: FakeManager,
        *,
        path: str = "/events",
        query: str = SDK_QUERY,
        subprotocols: tuple[str, ...] = (TOKEN,),
    ) -> list[dict[str, Any]]:
        """Return everything that the server sends for a handshake, by default at the SDK's address."""
        socket = FakeSocket(manager)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await socket.serve(path=path, query=query, subprotocols=subprotocols)
        return [socket.from_server.get_nowait() for _ in range(socket.from_server.qsize())]

    @pytest.mark.parametrize(
        ("offered", "selected"), [((TOKEN,), TOKEN), (("chat", TOKEN), TOKEN), (("forged",), "forged")]
    )
    async def test_it_is_accepted_told_why_and_closed(self, offered: tuple[str, ...], selected: str) -> None:
        manager = FakeManager()
        manager.admission_failure = refused(TokenRefusal.EXPIRED)
        accept, message, close = await self.messages(manager, subprotocols=offered)
        assert (accept["type"], accept["subprotocol"]) == ("websocket.accept", selected)
        assert json.loads(message["text"])["type"] == "aws:ivs:JOIN_ERROR"
        assert (close["type"], close["code"]) == ("websocket.close", 1008)
        assert manager.calls == []

    async def test_the_simple_dialect_has_the_codes_of_the_http_responses(self) -> None:
        manager = FakeManager()
        manager.failure = AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="the stage is full")
        _, message, close = await self.messages(manager, path=PATH, query="error_over_ws=1")
        assert json.loads(message["text"]) == {
            "type": "JOIN_ERROR",
            "payload": {"code": "QUOTA_EXCEEDED", "message": "the stage is full"},
        }
        assert close["code"] == 1008

    async def test_a_query_without_a_topic_is_a_bad_request(self) -> None:
        _, message, _ = await self.messages(FakeManager(), query="error_over_ws=1")
        assert json.loads(message["text"])["payload"]["code"] == "BAD_REQUEST"

    async def test_another_address_is_refused_plainly(self) -> None:
        start, _ = await self.messages(FakeManager(), path="/other")
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)

    async def test_a_full_stage_is_told_so(self) -> None:
        manager = FakeManager()
        manager.failure = AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="the stage is full")
        _, message, _ = await self.messages(manager)
        assert json.loads(message["text"])["payload"] == {"code": "BAD_REQUEST", "message": "the stage is full"}

    async def test_without_a_subprotocol_to_select_it_is_a_plain_refusal(self) -> None:
        start, _ = await self.messages(FakeManager(), subprotocols=())
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)

    @pytest.mark.parametrize(
        ("failure", "status"), [(ServerBusyError("try again"), 503), (KeyError("inner secret"), 500)], ids=str
    )
    async def test_a_refusal_that_may_pass_is_a_plain_one(self, failure: Exception, status: int) -> None:
        manager = FakeManager()
        manager.failure = failure
        start, _ = await self.messages(manager)
        assert (start["type"], start["status"]) == ("websocket.http.response.start", status)

    async def test_invalid_tokens_are_limited_as_in_plain_refusals(self) -> None:
        manager = FakeManager()
        limits = RequestLimits(invalid_tokens_burst=1)
        socket = FakeSocket(manager, limits=limits)
        first: list[object] = []
        for _ in range(2):
            await socket.serve(path="/events", query=SDK_QUERY, subprotocols=("forged.token.here",))
            first.append((await socket.receive())["type"])
            while not socket.from_server.empty():
                socket.from_server.get_nowait()
        assert first == ["websocket.accept", "websocket.http.response.start"]

    async def test_a_client_that_is_gone_or_does_not_read_is_given_up(self) -> None:
        manager = FakeManager()
        manager.admission_failure = refused(TokenRefusal.EXPIRED)

        async def never(_message: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        async def gone(_message: dict[str, Any]) -> None:
            raise OSError("the client is gone")

        for gate in (never, gone):
            socket = FakeSocket(manager, limits=RequestLimits(events_send_timeout_seconds=0.01))
            if gate is gone:
                socket.send_gate = gate
            else:
                socket.send_gate = lambda message: never(message) if message["type"] == "websocket.send" else _nothing()
            async with asyncio.timeout(DEADLINE_SECONDS):
                await socket.serve(path="/events", query=SDK_QUERY)


async def test_a_client_that_does_not_close_its_refused_websocket_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    connection_made = WebSocketProtocol.connection_made

    def on_made(protocol: WebSocketProtocol, transport: asyncio.BaseTransport) -> None:
        connection_made(protocol, transport)
        protocol.close_timeout = 0.1

    monkeypatch.setattr(WebSocketProtocol, "connection_made", on_made)
    handshake = (
        f"GET /events?{SDK_QUERY} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: forged.token.here\r\n\r\n"
    )
    async with running_server(ParticipantsApi(FakeManager())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(handshake.encode())
        received = b""
        async with asyncio.timeout(DEADLINE_SECONDS):
            with contextlib.suppress(ConnectionResetError):
                while data := await reader.read(4_096):
                    received += data
        assert received.startswith(b"HTTP/1.1 101")
        assert b"TOKEN_INVALID" in received
        writer.close()


async def _nothing() -> None:
    """Let a message through."""

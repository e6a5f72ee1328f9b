"""The handshake of a shared websocket: which connection tokens and stages it admits, and how it refuses others."""

import pytest

from stagebook.api.participants.request_limits import RequestLimits
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from tests.api.participants.fake_manager import TOKEN, FakeManager
from tests.api.participants.realtime.shared_socket import CONNECTION_TOKEN, QUERY, A, B, SharedSocket, ended, shared


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


def refused(refusal: TokenRefusal) -> TokenRefusedError:
    return TokenRefusedError(refusal=refusal, detail="because")


async def test_the_stages_of_the_handshake_are_joined_with_the_connection_token(manager: FakeManager) -> None:
    async with shared(manager, A, B) as socket:
        socket.leave()
    assert [call for call in manager.calls if call[0] == "admit"] == [("admit", CONNECTION_TOKEN)] * 2
    assert [call[1] for call in manager.calls if call[0] == "open_events"] == ["abCDEf12GHIj", "participantB"]
    assert all(watcher.publishers_only and not watcher.takes_changes for watcher in manager.watchers)
    assert manager.sole == [True, True]


async def test_a_websocket_can_be_opened_before_any_stage_is_joined(manager: FakeManager) -> None:
    async with shared(manager) as socket:
        await socket.join("a", TOKEN)
        socket.leave()


async def test_a_refused_stage_does_not_refuse_the_others(manager: FakeManager) -> None:
    async with shared(manager, "x~forged.body.sign", A, joined=False) as socket:
        answer = await socket.receive_for("x")
        assert answer["payload"]["requestId"] == "x"
        assert answer["payload"]["error"] == {
            "code": "TOKEN_SIGNATURE",
            "message": "the signature is wrong",
            "fatal": True,
        }
        assert "error" not in (await socket.receive_for("a"))["payload"]
        socket.leave()


@pytest.mark.parametrize("offer", ["nothing", "~token", f"{'i' * 65}~{TOKEN}", f'a"b~{TOKEN}', f"é~{TOKEN}"])
async def test_an_offer_without_a_logical_id_is_ignored(manager: FakeManager, offer: str) -> None:
    async with shared(manager, offer, A, joined=False) as socket:
        await socket.receive_for("a")
        socket.leave()


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (TokenRefusal.EXPIRED, "TOKEN_EXPIRED"),
        (TokenRefusal.CONNECTION_TOKEN, "TOKEN_REVOKED"),
        (TokenRefusal.SIGNATURE, "TOKEN_INVALID"),
        (TokenRefusal.MALFORMED, "TOKEN_INVALID"),
        (TokenRefusal.STAGE_MISMATCH, "TOKEN_INVALID"),
    ],
)
async def test_a_refused_connection_token_is_refused_by_a_message(
    manager: FakeManager, refusal: TokenRefusal, code: str
) -> None:
    manager.connection_failure = refused(refusal)
    socket = SharedSocket(manager)
    await socket.serve(path="/sanic", query=QUERY, subprotocols=(CONNECTION_TOKEN, A))
    assert (await socket.receive())["subprotocol"] == CONNECTION_TOKEN
    assert await socket.receive_json() == {
        "type": "aws:ivs:JOIN_ERROR",
        "payload": {"code": code, "message": "because"},
    }
    assert await socket.receive() == {"type": "websocket.close", "code": 1008, "reason": code}
    assert manager.watchers == []


@pytest.mark.parametrize(
    ("query", "subprotocols", "status"), [("", (CONNECTION_TOKEN,), 403), (QUERY, (), 401), ("", (), 401)]
)
async def test_a_client_that_does_not_read_such_a_message_gets_a_status(
    manager: FakeManager, query: str, subprotocols: tuple[str, ...], status: int
) -> None:
    manager.connection_failure = refused(TokenRefusal.CONNECTION_TOKEN)
    socket = SharedSocket(manager)
    await socket.serve(path="/sanic", query=query, subprotocols=subprotocols)
    assert (await socket.receive())["status"] == status


async def test_forged_connection_tokens_count_against_the_address(manager: FakeManager) -> None:
    manager.connection_failure = refused(TokenRefusal.SIGNATURE)
    socket = SharedSocket(manager, limits=RequestLimits(invalid_tokens_burst=1))
    await socket.serve(path="/sanic", query=QUERY, subprotocols=("a.b.c",))
    assert (await socket.receive())["type"] == "websocket.accept"
    await socket.receive()
    await socket.receive()
    await socket.serve(path="/sanic", query=QUERY, subprotocols=("d.e.f",))
    assert (await socket.receive())["status"] == 429


async def test_forged_participant_tokens_count_against_the_address(manager: FakeManager) -> None:
    limits = RequestLimits(invalid_tokens_burst=1)
    async with shared(manager, "x~forged.body.sign", "y~forged.too.sign", limits=limits, joined=False) as socket:
        assert (await socket.receive_for("x"))["payload"]["error"]["code"] == "TOKEN_SIGNATURE"
        error = (await socket.receive_for("y"))["payload"]["error"]
        assert (error["code"], error["fatal"]) == ("TOO_MANY_REQUESTS", False)
        socket.leave()


async def test_a_client_lost_in_the_handshake_joins_nothing(manager: FakeManager) -> None:
    async def lost(_message: object) -> None:
        raise OSError("the client is gone")

    socket = SharedSocket(manager)
    socket.send_gate = lost
    await socket.serve(path="/sanic", query=QUERY, subprotocols=(CONNECTION_TOKEN, A))
    assert (manager.watchers, ended(manager)) == ([], [])

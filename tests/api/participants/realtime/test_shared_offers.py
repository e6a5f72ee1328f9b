"""SDP offers over a shared websocket: answers, refusals, and bounds."""

import asyncio
import json

import pytest

from stagebook.api.participants.request_limits import RequestLimits
from stagebook.media.port import InitialLayer
from stagebook.stage.errors import AttemptRefusedError
from stagebook.stage.events import ErrorCode
from stagebook.stage.resources import ClientInfo
from tests.api.participants.fake_manager import CLAIMS, FakeManager
from tests.api.participants.realtime.shared_socket import A, B, shared, wrapped

PUBLISH = f"https://stages.example.com/whip/publish/{CLAIMS.participant_id}"
SUBSCRIBE = "https://stages.example.com/whip/subscribe/publisher"
IDS = {"requestId": "r", "traceId": "t"}
CLIENT = ClientInfo(browser_name="Tester", browser_version="1.0", sdk_version="1.41.0")


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


def sdp_offer(logical_id: str, url: str, *, request_id: str = "r") -> str:
    ids = {**IDS, "requestId": request_id}
    return wrapped(
        logical_id, "aws:ivs:SDP_OFFER", whipUrl=url, content="v=0", sdk="1.41.0", initialLayerPref="lowest", **ids
    )


async def test_an_offer_to_publish_is_answered(manager: FakeManager) -> None:
    async with shared(manager, A) as socket:
        socket.send_text(sdp_offer("a", PUBLISH))
        assert await socket.receive_for("a") == {
            "type": "aws:ivs:SDP_ANSWER",
            "payload": {
                **IDS,
                "content": "v=0 answer\r\n",
                "contentType": "application/sdp",
                "location": "https://stages.example.com/whip/resource/connection-1",
            },
        }
        socket.leave()
    assert ("publish", CLAIMS.participant_id, "v=0", CLIENT) in manager.calls


async def test_an_offer_to_subscribe_is_answered(manager: FakeManager) -> None:
    async with shared(manager, A, B) as socket:
        socket.send_text(sdp_offer("b", SUBSCRIBE))
        assert (await socket.receive_for("b"))["payload"]["content"] == "v=0 answer\r\n"
        socket.leave()
    assert ("subscribe", "participantB", "publisher", "v=0", CLIENT) in manager.calls
    assert manager.initial_layer is InitialLayer.LOWEST


async def test_an_offer_of_another_participant_is_refused(manager: FakeManager) -> None:
    async with shared(manager, A) as socket:
        socket.send_text(sdp_offer("a", PUBLISH.replace(CLAIMS.participant_id, "another")))
        error = (await socket.receive_for("a"))["payload"]["error"]
        assert (error["code"], error["fatal"]) == ("PARTICIPANT_MISMATCH", True)
        socket.leave()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (AttemptRefusedError(code=ErrorCode.INSUFFICIENT_CAPABILITIES, detail="no"), "INSUFFICIENT_CAPABILITIES"),
        (KeyError("inner secret"), "INTERNAL"),
    ],
)
async def test_a_refused_offer_is_answered_and_the_websocket_stays(
    manager: FakeManager, failure: Exception, code: str
) -> None:
    async with shared(manager, A) as socket:
        manager.failure = failure
        socket.send_text(sdp_offer("a", PUBLISH))
        payload = (await socket.receive_for("a"))["payload"]
        assert (payload["error"]["code"], payload["requestId"], payload["traceId"]) == (code, "r", "t")
        manager.failure = None
        socket.send_text(sdp_offer("a", PUBLISH))
        assert "content" in (await socket.receive_for("a"))["payload"]
        socket.leave()


async def test_offers_count_as_attempts(manager: FakeManager) -> None:
    async with shared(manager, A, limits=RequestLimits(attempts_burst=1)) as socket:
        socket.send_text(sdp_offer("a", PUBLISH))
        error = (await socket.receive_for("a"))["payload"]["error"]
        assert (error["code"], error["fatal"]) == ("TOO_MANY_REQUESTS", False)
        socket.leave()


async def test_a_slow_offer_of_one_stage_delays_no_other_stage(manager: FakeManager) -> None:
    manager.offer_gate = asyncio.Event()
    async with shared(manager, A, B) as socket:
        socket.send_text(sdp_offer("a", SUBSCRIBE))
        socket.send_text(wrapped("b", "aws:ivs:SET_STATE", audioMuted=True, **IDS))
        await socket.receive_for("b")
        manager.offer_gate.set()
        await socket.receive_for("a")
        socket.leave()


async def test_the_offers_in_progress_are_limited(manager: FakeManager) -> None:
    manager.offer_gate = asyncio.Event()
    async with shared(manager, A, limits=RequestLimits(shared_offers_in_progress=1)) as socket:
        socket.send_text(sdp_offer("a", SUBSCRIBE, request_id="first"))
        socket.send_text(sdp_offer("a", SUBSCRIBE, request_id="second"))
        payload = (await socket.receive_for("a"))["payload"]
        assert (payload["requestId"], payload["error"]["code"]) == ("second", "TOO_MANY_REQUESTS")
        manager.offer_gate.set()
        assert (await socket.receive_for("a"))["payload"]["requestId"] == "first"
        socket.leave()


@pytest.mark.parametrize("is_lost", [True, False])
async def test_offers_of_a_stage_that_is_left_are_cancelled(manager: FakeManager, *, is_lost: bool) -> None:
    manager.offer_gate = asyncio.Event()
    async with shared(manager, A) as socket:
        socket.send_text(sdp_offer("a", SUBSCRIBE))
        if not is_lost:
            socket.send_text(wrapped("a", "aws:ivs:LEAVE_STAGE", code=0))
            socket.send_text(json.dumps({"type": "PING"}))
            assert await socket.receive_json() == {"type": "PONG"}
            manager.offer_gate.set()
            await asyncio.sleep(0)
        socket.leave()
    manager.offer_gate.set()
    await asyncio.sleep(0)
    assert not [call for call in manager.calls if call[0] == "subscribe"]

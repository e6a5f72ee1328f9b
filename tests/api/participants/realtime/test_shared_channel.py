"""The stages of one shared websocket: joining and leaving, messages of both sides, ends, and bounds."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from stagebook.api.participants.request_limits import RequestLimits
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.errors import AttemptRefusedError, ServerBusyError
from stagebook.stage.events import Cause, ErrorCode
from tests.api.participants.fake_manager import TOKEN, FakeManager
from tests.api.participants.realtime.shared_socket import (
    CONNECTION_TOKEN,
    TOKENS,
    A,
    B,
    SharedSocket,
    ended,
    join_stage,
    listed,
    shared,
    wrapped,
)

PING = json.dumps({"type": "PING", "payload": {"requestId": "p1", "traceId": "t1"}})


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


async def until_answered(socket: SharedSocket) -> None:
    """Wait until everything that was sent so far has been acted on."""
    socket.send_text(PING)
    assert (await socket.receive_json())["type"] == "PONG"


class TestStages:
    async def test_a_stage_is_left_and_the_other_one_stays(self, manager: FakeManager) -> None:
        async with shared(manager, A, B) as socket:
            socket.send_text(wrapped("a", "aws:ivs:LEAVE_STAGE", code=0, requestId="r"))
            await until_answered(socket)
            assert ended(manager) == [("connection-3", Cause.CLIENT)]
            manager.watchers[1].show(listed("p", number=1))
            await socket.receive_for("b")
            socket.leave()
        assert ended(manager) == [("connection-3", Cause.CLIENT), ("connection-4", Cause.CLIENT)]

    async def test_a_stage_is_joined_again_after_it_was_left(self, manager: FakeManager) -> None:
        async with shared(manager, A) as socket:
            socket.send_text(wrapped("a", "aws:ivs:LEAVE_STAGE", code=0, requestId="r"))
            await socket.join("again", TOKEN)
            socket.leave()
        assert [each for each, _ in ended(manager)] == ["connection-3", "connection-4"]

    async def test_a_join_that_is_repeated_succeeds_and_joins_nothing(self, manager: FakeManager) -> None:
        async with shared(manager, A) as socket:
            await socket.join("a", TOKEN)
            socket.leave()
        assert len(manager.watchers) == 1

    async def test_all_stages_of_a_lost_websocket_are_left(self, manager: FakeManager) -> None:
        async with shared(manager, A, B) as socket:
            socket.leave(code=1006)
        assert sorted(ended(manager)) == [("connection-3", Cause.PEER_LOST), ("connection-4", Cause.PEER_LOST)]

    async def test_a_refused_stage_is_fatal_and_a_busy_server_is_not(self, manager: FakeManager) -> None:
        async with shared(manager, A) as socket:
            for failure, is_fatal in (
                (AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="full"), True),
                (ServerBusyError("busy"), False),
            ):
                manager.failure = failure
                socket.send_text(join_stage("b", TOKENS["B"]))
                payload = (await socket.receive_for("b"))["payload"]
                assert (payload["requestId"], payload["traceId"]) == ("r1", "t1")
                assert payload["error"]["fatal"] is is_fatal
            socket.leave()
        assert [each for each, _ in ended(manager)] == ["connection-3"]

    async def test_an_internal_error_of_a_join_does_not_end_the_others(self, manager: FakeManager) -> None:
        async with shared(manager, A) as socket:
            manager.failure = KeyError("inner secret")
            socket.send_text(join_stage("b", TOKENS["B"]))
            error = (await socket.receive_for("b"))["payload"]["error"]
            assert (error["code"], error["fatal"]) == ("INTERNAL", False)
            await until_answered(socket)
            socket.leave()


class TestMessages:
    async def test_a_list_is_wrapped_for_its_stage(self, manager: FakeManager) -> None:
        async with shared(manager, A, B) as socket:
            manager.watchers[1].show(listed("p", number=7))
            state = await socket.receive_for("b")
            assert (state["type"], state["payload"]["sequenceNumber"]) == ("STAGE_STATE", 7)
            socket.leave()

    async def test_stages_take_turns(self, manager: FakeManager) -> None:
        """A stage with a new list at any time does not delay the others."""
        reading = asyncio.Event()
        numbers = itertools.count(1)

        async def gate(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.send":
                await reading.wait()
                if (number := next(numbers)) < 5:
                    manager.watchers[0].show(listed("busy", number=number))

        async with shared(manager, A, B, f"c~{TOKENS['C']}") as socket:
            socket.send_gate = gate
            manager.watchers[0].show(listed("busy", number=next(numbers)))
            manager.watchers[1].show(listed("p", number=1))
            manager.watchers[2].show(listed("p", number=1))
            reading.set()
            order = [(await socket.receive_json())["logicalId"] for _ in range(4)]
            assert order == ["a", "b", "c", "a"]
            socket.leave()

    async def test_a_ping_is_answered_with_its_ids(self, manager: FakeManager) -> None:
        async with shared(manager) as socket:
            socket.send_text(PING)
            assert await socket.receive_json() == {"type": "PONG", "payload": {"requestId": "p1", "traceId": "t1"}}
            socket.leave()

    async def test_the_mute_state_is_set_and_answered(self, manager: FakeManager) -> None:
        ids = {"requestId": "r", "traceId": "t"}
        async with shared(manager, A, B) as socket:
            socket.send_text(wrapped("b", "aws:ivs:SET_STATE", audioMuted=True, videoStopped=False, **ids))
            assert await socket.receive_for("b") == {"type": "aws:ivs:SET_STATE", "payload": ids}
            socket.leave()
        assert ("set_mute_state", "connection-4", True, False) in manager.calls

    async def test_a_token_is_exchanged_for_its_stage(self, manager: FakeManager) -> None:
        payload = {"oldToken": TOKEN, "newToken": "new.body.sign", "requestId": "r", "traceId": "t"}
        async with shared(manager, A, B) as socket:
            socket.send_text(wrapped("b", "aws:ivs:EXCHANGE_TOKEN", **payload))
            answer = await socket.receive_for("b")
            assert answer == {"type": "aws:ivs:EXCHANGE_TOKEN", "payload": {"requestId": "r", "traceId": "t"}}
            socket.leave()
        assert ("exchange_token", "connection-4", "new.body.sign") in manager.calls

    @pytest.mark.parametrize(
        "text",
        [
            "x",
            "[]",
            '{"type":"LATER"}',
            '{"logicalId":"a"}',
            '{"logicalId":"a","message":null}',
            '{"logicalId":1,"message":{"type":"PING"}}',
            wrapped("unknown", "aws:ivs:LEAVE_STAGE", code=0),
            wrapped("unknown", "aws:ivs:SDP_OFFER", content="v=0"),
            wrapped("a", "LATER"),
            wrapped("a", "aws:ivs:SDP_OFFER", content="v=0"),
            wrapped("a", "aws:ivs:SET_STATE", audioMuted="yes", requestId=["r"]),
            wrapped("b", "aws:ivs:JOIN_STAGE", token="t"),
            wrapped("b", "aws:ivs:JOIN_STAGE", token="t", requestId="r" * 65),
            '{"logicalId":"a","message":' + "[" * 40 + "]" * 40 + "}",
        ],
    )
    async def test_other_messages_are_ignored(self, manager: FakeManager, text: str) -> None:
        async with shared(manager, A) as socket:
            socket.send_text(text)
            await until_answered(socket)
            socket.leave()
        assert len(manager.watchers) == 1


class TestEnds:
    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            (FarewellReason.DISCONNECTED, "PARTICIPANT_DISCONNECTED"),
            (FarewellReason.STAGE_DELETED, "STAGE_DELETED"),
        ],
    )
    async def test_a_stage_that_ends_leaves_the_websocket_open(
        self, manager: FakeManager, reason: FarewellReason, code: str
    ) -> None:
        async with shared(manager, A, B) as socket:
            manager.watchers[0].farewell(reason, "be nice")
            manager.watchers[0].farewell(reason, "again")
            message = await socket.receive_for("a")
            assert (message["type"], message["payload"]) == (
                "aws:ivs:DISCONNECT",
                {"code": code, "reason": "be nice"},
            )
            manager.watchers[1].show(listed("p", number=1))
            assert (await socket.receive_for("b"))["type"] == "STAGE_STATE"
            socket.leave()
        # The manager has recorded the end of the first one itself.
        assert ended(manager) == [("connection-4", Cause.CLIENT)]

    async def test_a_revoked_connection_token_ends_the_websocket_with_one_message(self, manager: FakeManager) -> None:
        async with shared(manager, A, B) as socket:
            for watcher in manager.watchers:
                watcher.farewell(FarewellReason.CONNECTION_TOKEN_REVOKED, "")
            message = await socket.receive_json()
            assert (message["type"], message["payload"]["code"]) == ("aws:ivs:JOIN_ERROR", "TOKEN_REVOKED")
            assert await socket.receive() == {
                "type": "websocket.close",
                "code": 4003,
                "reason": "CONNECTION_TOKEN_REVOKED",
            }

    async def test_a_shutdown_closes_the_websocket_without_a_message(self, manager: FakeManager) -> None:
        async with shared(manager, A, B) as socket:
            for watcher in manager.watchers:
                watcher.farewell(FarewellReason.SHUTDOWN, "")
            assert (await socket.receive())["code"] == 1001
        assert ended(manager) == []

    async def test_a_stage_can_be_joined_again_as_often_as_it_ends(self, manager: FakeManager) -> None:
        """A stage that has ended counts no more, neither for the participant nor for the websocket."""
        limits = RequestLimits(events_connections_per_participant=1, shared_stages=1)
        async with shared(manager, A, limits=limits) as socket:
            for number in range(3):
                manager.watchers[number].farewell(FarewellReason.DISCONNECTED, "")
                await socket.receive()
                await socket.join("a", TOKEN)
            socket.leave()


class TestBounds:
    async def test_the_stages_of_a_websocket_are_limited(self, manager: FakeManager) -> None:
        async with shared(manager, A, limits=RequestLimits(shared_stages=1)) as socket:
            socket.send_text(join_stage("b", TOKENS["B"]))
            error = (await socket.receive_for("b"))["payload"]["error"]
            assert (error["code"], error["fatal"]) == ("TOO_MANY_STAGES", True)
            socket.leave()

    async def test_joins_count_as_attempts_of_the_participant(self, manager: FakeManager) -> None:
        async with shared(manager, A, limits=RequestLimits(attempts_burst=1)) as socket:
            socket.send_text(join_stage("again", TOKEN))
            error = (await socket.receive_for("again"))["payload"]["error"]
            assert (error["code"], error["fatal"]) == ("TOO_MANY_REQUESTS", False)
            await socket.join("b", TOKENS["B"])
            socket.leave()

    async def test_the_messages_of_all_stages_have_one_rate(self, manager: FakeManager) -> None:
        async with shared(manager, A, B, limits=RequestLimits(shared_messages_burst=3)) as socket:
            for logical_id in ("a", "b", "a", "b"):
                socket.send_text(wrapped(logical_id, "LATER"))
            assert (await socket.receive())["code"] == 1008
        assert sorted(ended(manager)) == [("connection-3", Cause.REFUSED), ("connection-4", Cause.REFUSED)]

    async def test_a_client_that_does_not_read_its_answers_is_not_read_either(self, manager: FakeManager) -> None:
        reading = asyncio.Event()

        async def gate(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.send":
                await reading.wait()

        async with shared(manager, limits=RequestLimits(shared_answers_waiting=3)) as socket:
            socket.send_gate = gate
            for _ in range(20):
                socket.send_text(PING)
            for _ in range(100):
                await asyncio.sleep(0)
            # Three are being sent, three wait, and one is held by the reader.
            assert socket.to_server.qsize() >= 20 - 7
            reading.set()
            for _ in range(20):
                await socket.receive()
            socket.leave()

    async def test_a_websocket_without_a_stage_is_closed_after_a_time(self, manager: FakeManager) -> None:
        async with shared(manager, limits=RequestLimits(shared_idle_seconds=0.01)) as socket:
            assert await socket.receive() == {"type": "websocket.close", "code": 4005, "reason": "NO_STAGE"}

    async def test_a_websocket_with_a_stage_is_not_and_one_that_has_left_it_is(self, manager: FakeManager) -> None:
        limits = RequestLimits(shared_idle_seconds=0.05, events_ping_seconds=0.1)
        async with shared(manager, A, limits=limits) as socket:
            assert (await socket.receive_json())["type"] == "PING"
            socket.send_text(wrapped("a", "aws:ivs:LEAVE_STAGE", code=0, requestId="r"))
            closes = [await socket.receive() for _ in range(1)]
            while closes[-1]["type"] != "websocket.close":
                closes.append(await socket.receive())
            assert closes[-1]["code"] == 4005


async def test_a_stage_that_ends_while_it_is_joined_is_told_after_the_answer(manager: FakeManager) -> None:
    opening = manager.open_events

    async def opened_and_ended(*arguments: Any, **keywords: Any) -> str:  # noqa: ANN401 - those of the method
        connection_id = await opening(*arguments, **keywords)
        manager.watchers[-1].farewell(FarewellReason.STAGE_DELETED, "")
        return connection_id

    manager.open_events = opened_and_ended  # type: ignore[method-assign]
    async with shared(manager, A, joined=False) as socket:
        assert (await socket.receive_for("a"))["type"] == "aws:ivs:JOIN_STAGE"
        assert (await socket.receive_for("a"))["payload"]["code"] == "STAGE_DELETED"
        await until_answered(socket)
        socket.leave()
    assert ended(manager) == []


async def test_a_cancelled_websocket_leaves_its_stages(manager: FakeManager) -> None:
    socket = SharedSocket(manager)
    task = asyncio.create_task(socket.serve(path="/sanic", subprotocols=(CONNECTION_TOKEN, A)))
    for _ in ("accept", "joined"):
        await socket.receive()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended(manager) == [("connection-3", Cause.SHUTDOWN)]


async def test_a_stage_is_joined_as_the_sole_websocket_of_its_participant(manager: FakeManager) -> None:
    async with shared(manager, A) as socket:
        manager.watchers[0].farewell(FarewellReason.TOKEN_REUSED, "")
        assert (await socket.receive_for("a"))["payload"]["code"] == "TOKEN_REUSED"
        socket.leave()
    assert manager.sole == [True]


async def test_a_failure_within_a_message_ends_the_websocket_and_is_logged(
    manager: FakeManager, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shared(manager, A) as socket:
        manager.failure = KeyError("inner secret")
        payload = {"oldToken": TOKEN, "newToken": "new.body.sign", "requestId": "r", "traceId": "t"}
        socket.send_text(wrapped("a", "aws:ivs:EXCHANGE_TOKEN", **payload))
    assert "participants_request_failed" in capsys.readouterr().out
    assert [each for each, _ in ended(manager)] == ["connection-3"]

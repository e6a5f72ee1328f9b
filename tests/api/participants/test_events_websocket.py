"""The events websocket over ASGI: handshake, messages in both directions, and every way it can end."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.asgi import DISCONNECT_REFUSED
from stagebook.api.participants.events_outbox import CHANGES_LIMIT
from stagebook.api.participants.events_websocket import CHANGES_SUBPROTOCOL
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.request_counts import RequestCounts
from stagebook.manager.presence.watchers import (
    FarewellReason,
    PresentParticipant,
    StageChange,
    StageSnapshot,
    StageWatcher,
)
from stagebook.stage.errors import AttemptRefusedError, TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.resources import ClientInfo
from tests.api.participants.fake_manager import STAGE_ID, TOKEN, FakeManager

DEADLINE_SECONDS = 10.0
PATH = f"/events/{STAGE_ID}"
SDK_QUERY = f"error_over_ws=1&topic={STAGE_ID}/publishers&traceid=1-6b0a55d3-47a62e47c4dd0bdc6cbb7232"


class FakeSocket:
    """The server side of one ASGI websocket: queues of the messages from and to the application."""

    def __init__(self, manager: FakeManager, *, limits: RequestLimits | None = None) -> None:
        self.requests = RequestCounts("participants")
        self.api = ParticipantsApi(manager, limits=limits, monotonic=lambda: 0.0, requests=self.requests)
        self.to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.send_gate: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    async def serve(
        self,
        *,
        path: str = PATH,
        query: str = "",
        subprotocols: tuple[str, ...] = (TOKEN,),
        deny: bool = True,
        leaving: bool = False,
    ) -> None:
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "subprotocols": list(subprotocols),
            "headers": [(b"user-agent", b"Tester/1.0")],
            "extensions": {"websocket.http.response": {}} if deny else {},
        }
        self.to_server.put_nowait({"type": "websocket.connect"})
        if leaving:
            self.leave()
        await self.api(scope, self.to_server.get, self._on_sent)

    async def _on_sent(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        if self.send_gate is not None:
            await self.send_gate(message)
        self.from_server.put_nowait(message)

    def send_text(self, text: str) -> None:
        self.to_server.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self, code: int = 1000) -> None:
        self.to_server.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.from_server.get()

    async def receive_json(self) -> Any:  # noqa: ANN401 - decoded JSON
        return json.loads((await self.receive())["text"])


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@asynccontextmanager
async def connected(
    manager: FakeManager, *, limits: RequestLimits | None = None, path: str = PATH, query: str = ""
) -> AsyncIterator[FakeSocket]:
    """Yield an accepted socket. The application must have ended by itself by the end of the block."""
    socket = FakeSocket(manager, limits=limits)
    task = asyncio.create_task(socket.serve(path=path, query=query))
    assert await socket.receive() == {"type": "websocket.accept", "subprotocol": TOKEN, "headers": []}
    yield socket
    async with asyncio.timeout(DEADLINE_SECONDS):
        await task


def watcher_of(manager: FakeManager) -> StageWatcher:
    assert manager.watcher is not None
    return manager.watcher


numbers = itertools.count(1)


def snapshot(*participant_ids: str) -> StageSnapshot:
    """Return a snapshot with a sequence number above that of the one before."""
    participants = tuple(
        PresentParticipant(participant_id=name, user_id="", attributes={}, is_publishing=False)
        for name in participant_ids
    )
    return StageSnapshot(stage_id=STAGE_ID, participants=participants, sequence_number=next(numbers))


def change(participant_id: str, *, number: int) -> StageChange:
    joined = snapshot(participant_id).participants
    return StageChange(stage_id=STAGE_ID, base_sequence_number=number - 1, sequence_number=number, joined=joined)


def reported_causes(manager: FakeManager) -> list[object]:
    return [call[2] for call in manager.calls if call[0] == "close_events"]


class TestHandshake:
    async def test_the_token_is_the_selected_subprotocol(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            socket.leave()
        tester = ClientInfo(browser_name="Tester", browser_version="1.0")
        assert manager.calls == [
            ("open_events", "abCDEf12GHIj", tester),
            ("close_events", "connection-3", Cause.CLIENT),
        ]

    async def test_an_open_websocket_is_counted_and_so_is_a_refused_one(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            counted = {name: dict(of.by_status) for name, of in socket.requests}
            assert counted == {"EventsWebsocket": {101: 1}}
            socket.leave()
        assert [(name, of.by_status) for name, of in socket.requests] == [("EventsWebsocket", {101: 1})]
        refused = FakeSocket(manager)
        await refused.serve(subprotocols=())
        assert [(name, of.by_status) for name, of in refused.requests] == [("EventsWebsocket", {401: 1})]

    async def test_a_token_is_found_among_other_subprotocols(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager)
        await socket.serve(subprotocols=("chat", TOKEN, "other.token.here"), leaving=True)
        assert (await socket.receive())["subprotocol"] == TOKEN

    @pytest.mark.parametrize(
        ("path", "subprotocols", "status"),
        [
            (PATH, (), 401),
            (PATH, ("chat",), 401),
            (PATH, ("forged.token.here",), 401),
            ("/events/otherStage00", (TOKEN,), 403),
            ("/events", (TOKEN,), 404),
            ("/events/a/b", (TOKEN,), 404),
            ("/", (TOKEN,), 404),
        ],
    )
    async def test_a_refused_handshake_gets_an_http_response(
        self, manager: FakeManager, path: str, subprotocols: tuple[str, ...], status: int
    ) -> None:
        socket = FakeSocket(manager)
        await socket.serve(path=path, subprotocols=subprotocols)
        start = await socket.receive()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
        assert (b"www-authenticate" in dict(start["headers"])) is (status == 401)
        assert "code" in json.loads((await socket.receive())["body"])
        assert manager.calls == []

    @pytest.mark.parametrize(
        ("refusal", "status"), [(TokenRefusal.STAGE_DELETED, 404), (TokenRefusal.PARTICIPANT_DISCONNECTED, 403)]
    )
    async def test_a_refused_token_gets_its_status(
        self, manager: FakeManager, refusal: TokenRefusal, status: int
    ) -> None:
        manager.admission_failure = TokenRefusedError(refusal=refusal, detail="because")
        socket = FakeSocket(manager)
        await socket.serve()
        assert (await socket.receive())["status"] == status

    async def test_a_full_stage_refuses_the_handshake_and_reports_no_end(self, manager: FakeManager) -> None:
        manager.failure = AttemptRefusedError(code=ErrorCode.QUOTA_EXCEEDED, detail="the stage is full")
        socket = FakeSocket(manager)
        await socket.serve()
        assert (await socket.receive())["status"] == 409
        assert reported_causes(manager) == []

    async def test_the_open_sockets_of_one_participant_are_limited(self, manager: FakeManager) -> None:
        limits = RequestLimits(events_connections_per_participant=1)
        async with connected(manager, limits=limits) as first:
            second = FakeSocket(manager)
            second.api = first.api
            await second.serve()
            assert (await second.receive())["status"] == 429
            first.leave()
        third = FakeSocket(manager)
        third.api = first.api
        await third.serve(leaving=True)
        assert (await third.receive())["type"] == "websocket.accept"

    async def test_the_handshakes_of_one_participant_are_rate_limited(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager, limits=RequestLimits(attempts_burst=1))
        await socket.serve(leaving=True)
        assert (await socket.receive())["type"] == "websocket.accept"
        await socket.serve()
        assert (await socket.receive())["status"] == 429

    async def test_an_internal_error_is_a_500_without_details(self, manager: FakeManager) -> None:
        manager.failure = KeyError("inner secret")
        socket = FakeSocket(manager)
        await socket.serve()
        assert (await socket.receive())["status"] == 500
        assert b"inner" not in (await socket.receive())["body"]

    async def test_without_the_http_response_extension_the_socket_is_closed_with_1008(
        self, manager: FakeManager
    ) -> None:
        socket = FakeSocket(manager)
        await socket.serve(subprotocols=(), deny=False)
        assert (await socket.receive())["code"] == 1008

    async def test_a_client_lost_during_the_handshake_is_reported_as_lost(self, manager: FakeManager) -> None:
        async def lost(_message: dict[str, Any]) -> None:
            raise OSError("the client is gone")

        socket = FakeSocket(manager)
        socket.send_gate = lost
        await socket.serve()
        assert reported_causes(manager) == [Cause.PEER_LOST]


class TestSdkAddress:
    @pytest.mark.parametrize(("query", "publishers_only"), [(SDK_QUERY, True), (f"topic={STAGE_ID}", False)])
    async def test_the_topic_says_which_list_is_shown(
        self,
        manager: FakeManager,
        query: str,
        publishers_only: bool,  # noqa: FBT001 - pytest gives it by name
    ) -> None:
        async with connected(manager, path="/events", query=query) as socket:
            assert watcher_of(manager).publishers_only is publishers_only
            socket.leave()

    async def test_the_simple_address_shows_everybody(self, manager: FakeManager) -> None:
        async with connected(manager, query=SDK_QUERY) as socket:
            assert not watcher_of(manager).publishers_only
            socket.leave()

    async def test_the_sdk_has_one_websocket_at_a_time_and_other_clients_several(self, manager: FakeManager) -> None:
        for path, query in (("/events", SDK_QUERY), ("/events", f"topic={STAGE_ID}"), (PATH, SDK_QUERY)):
            async with connected(manager, path=path, query=query) as socket:
                socket.leave()
        assert manager.sole == [True, True, False]

    async def test_the_topic_of_another_stage_is_refused(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager)
        await socket.serve(path="/events", query="topic=otherStage00/publishers")
        assert (await socket.receive())["status"] == 403

    async def test_a_farewell_begins_with_a_disconnect_message(self, manager: FakeManager) -> None:
        async with connected(manager, path="/events", query=SDK_QUERY) as socket:
            watcher_of(manager).farewell(FarewellReason.DISCONNECTED, "be nice")
            message = await socket.receive_json()
            assert message["type"] == "aws:ivs:DISCONNECT"
            assert message["payload"] == {"code": "PARTICIPANT_DISCONNECTED", "reason": "be nice"}
            assert await socket.receive() == {"type": "websocket.close", "code": 4001, "reason": "be nice"}
        assert reported_causes(manager) == []

    async def test_a_shutdown_closes_without_a_disconnect_message(self, manager: FakeManager) -> None:
        async with connected(manager, path="/events", query=SDK_QUERY) as socket:
            watcher_of(manager).farewell(FarewellReason.SHUTDOWN, "")
            assert (await socket.receive())["type"] == "websocket.close"


class TestMessages:
    async def test_a_snapshot_is_sent(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            watcher_of(manager).show(snapshot("p1", "p2"))
            state = await socket.receive_json()
            assert state["type"] == "STAGE_STATE"
            assert [participant["id"] for participant in state["payload"]["participants"]] == ["p1", "p2"]
            socket.leave()

    async def test_a_slow_client_gets_only_the_newest_snapshot(self, manager: FakeManager) -> None:
        reading = asyncio.Event()

        async def gate(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.send":
                await reading.wait()

        async with connected(manager) as socket:
            socket.send_gate = gate
            watcher_of(manager).show(snapshot("first"))
            await asyncio.sleep(0)  # the writer takes the first snapshot and waits in send
            for number in range(100):
                watcher_of(manager).show(snapshot(f"p{number}"))
            reading.set()
            shown = [(await socket.receive_json())["payload"]["participants"][0]["id"]]
            while shown[-1] != "p99":
                shown.append((await socket.receive_json())["payload"]["participants"][0]["id"])
            assert len(shown) <= 2
            socket.leave()

    async def test_a_client_that_announces_it_takes_changes(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager)
        task = asyncio.create_task(socket.serve(subprotocols=(CHANGES_SUBPROTOCOL, TOKEN)))
        assert (await socket.receive())["subprotocol"] == TOKEN
        watcher = watcher_of(manager)
        assert watcher.takes_changes
        first = snapshot("p1")
        watcher.show(first)
        for number in (1, 2):
            watcher.show_change(change("p2", number=first.sequence_number + number))
        messages = [await socket.receive_json() for _ in range(3)]
        assert [(each["type"], each["payload"]["sequenceNumber"] - first.sequence_number) for each in messages] == [
            ("STAGE_STATE", 0),
            ("STAGE_STATE_CHANGE", 1),
            ("STAGE_STATE_CHANGE", 2),
        ]
        socket.leave()
        await task

    async def test_a_client_that_does_not_announce_it_takes_lists(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            assert not watcher_of(manager).takes_changes
            socket.leave()

    async def test_a_client_that_has_missed_changes_is_shown_the_list_again_when_it_reads(
        self, manager: FakeManager
    ) -> None:
        reading = asyncio.Event()

        async def gate(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.send":
                await reading.wait()

        async with connected(manager) as socket:
            socket.send_gate = gate
            for number in range(1, CHANGES_LIMIT + 3):
                watcher_of(manager).show_change(change("p", number=number))
                await asyncio.sleep(0)
            assert ("show_again", "connection-3") not in manager.calls
            reading.set()
            await socket.receive()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while ("show_again", "connection-3") not in manager.calls:  # noqa: ASYNC110 - it notifies nobody
                    await asyncio.sleep(0)
            watcher_of(manager).show(snapshot("p"))
            assert (await socket.receive_json())["type"] == "STAGE_STATE"
            socket.leave()

    async def test_a_ping_is_answered(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            socket.send_text('{"type":"PING"}')
            assert await socket.receive_json() == {"type": "PONG"}
            socket.leave()

    @pytest.mark.parametrize("text", ['{"type":"PONG"}', '{"type":"LATER"}', "ping", "[]", "\x00"])
    async def test_other_messages_are_ignored(self, manager: FakeManager, text: str) -> None:
        async with connected(manager) as socket:
            socket.send_text(text)
            socket.send_text('{"type":"PING"}')
            assert await socket.receive_json() == {"type": "PONG"}
            socket.leave()

    @pytest.mark.parametrize(("path", "query"), [(PATH, ""), ("/events", SDK_QUERY)])
    async def test_a_set_state_message_reaches_the_manager_and_is_not_answered(
        self, manager: FakeManager, path: str, query: str
    ) -> None:
        async with connected(manager, path=path, query=query) as socket:
            socket.send_text('{"audioMuted":true,"type":"SET_STATE","version":"0","videoStopped":false}')
            socket.send_text('{"type":"SET_STATE","audioMuted":"yes"}')
            socket.send_text('{"type":"SET_STATE","videoStopped":true}')
            socket.send_text('{"type":"PING"}')
            assert await socket.receive_json() == {"type": "PONG"}
            socket.leave()
        assert [call for call in manager.calls if call[0] == "set_mute_state"] == [
            ("set_mute_state", "connection-3", True, False),
            ("set_mute_state", "connection-3", None, True),
        ]

    async def test_an_idle_socket_gets_a_ping(self, manager: FakeManager) -> None:
        async with connected(manager, limits=RequestLimits(events_ping_seconds=0.01)) as socket:
            assert await socket.receive_json() == {"type": "PING"}
            assert await socket.receive_json() == {"type": "PING"}
            socket.leave()


class TestClose:
    @pytest.mark.parametrize(
        ("message", "cause"),
        [
            ({"code": 1000, "reason": "bye"}, Cause.CLIENT),
            ({"code": 1001, "reason": ""}, Cause.CLIENT),
            ({"code": 1005, "reason": ""}, Cause.CLIENT),
            ({"code": 1005}, Cause.PEER_LOST),
            ({"code": 1006, "reason": ""}, Cause.PEER_LOST),
            ({"code": 1008, "reason": "too many frames", DISCONNECT_REFUSED: True}, Cause.REFUSED),
        ],
    )
    async def test_a_close_frame_and_a_lost_connection_have_different_causes(
        self, manager: FakeManager, message: dict[str, Any], cause: Cause
    ) -> None:
        async with connected(manager) as socket:
            socket.to_server.put_nowait({"type": "websocket.disconnect", **message})
        assert reported_causes(manager) == [cause]

    @pytest.mark.parametrize(
        ("reason", "detail", "code", "close_reason"),
        [
            (FarewellReason.DISCONNECTED, "be nice", 4001, "be nice"),
            (FarewellReason.DISCONNECTED, "", 4001, "PARTICIPANT_DISCONNECTED"),
            (FarewellReason.STAGE_DELETED, "", 4002, "STAGE_DELETED"),
            (FarewellReason.CONNECTION_TOKEN_REVOKED, "", 4003, "CONNECTION_TOKEN_REVOKED"),
            (FarewellReason.TOKEN_REUSED, "", 4004, "TOKEN_REUSED"),
            (FarewellReason.SHUTDOWN, "", 1001, "SERVER_SHUTDOWN"),
        ],
    )
    async def test_a_farewell_closes_with_its_code_and_reason(
        self, manager: FakeManager, reason: FarewellReason, detail: str, code: int, close_reason: str
    ) -> None:
        async with connected(manager) as socket:
            watcher_of(manager).farewell(reason, detail)
            assert await socket.receive() == {"type": "websocket.close", "code": code, "reason": close_reason}
        # The manager ended the connection and has recorded it, so its end is not reported back.
        assert reported_causes(manager) == []

    async def test_only_the_first_farewell_has_an_effect(self, manager: FakeManager) -> None:
        async with connected(manager) as socket:
            watcher_of(manager).farewell(FarewellReason.STAGE_DELETED, "")
            watcher_of(manager).farewell(FarewellReason.SHUTDOWN, "")
            assert (await socket.receive())["code"] == 4002
        assert reported_causes(manager) == []

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ({"bytes": b"\x00"}, 1003),
            ({"bytes": b"", "text": None}, 1003),
            ({"text": "x" * 16_385}, 1009),
        ],
    )
    async def test_a_message_that_breaks_a_limit_closes_the_connection(
        self, manager: FakeManager, message: dict[str, Any], code: int
    ) -> None:
        async with connected(manager) as socket:
            socket.to_server.put_nowait({"type": "websocket.receive", **message})
            assert (await socket.receive())["code"] == code
        assert reported_causes(manager) == [Cause.REFUSED]

    async def test_too_many_messages_close_the_connection(self, manager: FakeManager) -> None:
        async with connected(manager, limits=RequestLimits(events_messages_burst=3)) as socket:
            for _ in range(4):
                socket.send_text("{}")
            closed = await socket.receive()
        assert (closed["code"], closed["reason"]) == (1008, "too many messages")

    async def test_a_client_that_does_not_read_is_reported_as_lost(self, manager: FakeManager) -> None:
        async def never_read(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.send":
                await asyncio.Event().wait()

        async with connected(manager, limits=RequestLimits(events_send_timeout_seconds=0.01)) as socket:
            socket.send_gate = never_read
            watcher_of(manager).show(snapshot("p"))
        assert reported_causes(manager) == [Cause.PEER_LOST]

    @pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("after close")])
    async def test_a_failed_send_is_reported_as_lost(self, manager: FakeManager, error: Exception) -> None:
        async def broken(_message: dict[str, Any]) -> None:
            raise error

        async with connected(manager) as socket:
            socket.send_gate = broken
            watcher_of(manager).show(snapshot("p"))
        assert reported_causes(manager) == [Cause.PEER_LOST]

    async def test_a_cancelled_socket_is_reported_as_a_shutdown(self, manager: FakeManager) -> None:
        socket = FakeSocket(manager)
        task = asyncio.create_task(socket.serve())
        await socket.receive()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reported_causes(manager) == [Cause.SHUTDOWN]


client_messages = st.one_of(
    st.builds(lambda text: {"type": "websocket.receive", "text": text}, st.text(max_size=5_000)),
    st.builds(lambda data: {"type": "websocket.receive", "bytes": data}, st.binary(max_size=10)),
    st.just({"type": "websocket.receive", "text": '{"type":"PING"}'}),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(client_messages, max_size=5))
async def test_the_end_is_reported_once_whatever_the_client_sends(messages: list[dict[str, Any]]) -> None:
    manager = FakeManager()
    async with connected(manager) as socket:
        for message in messages:
            socket.to_server.put_nowait(message)
        socket.leave()
    assert len(reported_causes(manager)) == 1

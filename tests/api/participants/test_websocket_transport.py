"""The transport of a websocket with a channel that a test controls. The websocket's endpoint has the other tests."""

import asyncio
from typing import Any

from stagebook.api.access.token_bucket import TokenBucket
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.stage_state_messages import StageStateMessage
from stagebook.api.participants.websocket_transport import (
    MAX_CLOSE_REASON_SIZE_BYTES,
    ConnectionClose,
    WebsocketTransport,
    close_message,
)
from stagebook.stage.events import Cause

LIMITS = RequestLimits()


class ScriptedChannel:
    """A channel that echoes what it receives, and holds the states that a test has put into it."""

    def __init__(self, transport: WebsocketTransport) -> None:
        self.transport = transport
        self.texts: list[str] = []
        self.states: list[StageStateMessage] = []
        self.drained = asyncio.Event()

    def take_texts(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts

    def take_state(self) -> StageStateMessage | None:
        return self.states.pop(0) if self.states else None

    def on_drained(self) -> None:
        self.drained.set()

    async def receive(self, text: str) -> None:
        self.texts.append(text)
        self.transport.wake()


def transport() -> WebsocketTransport:
    rate = TokenBucket(burst=60, per_second=5, monotonic=lambda: 0.0)
    return WebsocketTransport(limits=LIMITS, message_rate=rate, has_parts=False)


def state(text: str) -> StageStateMessage:
    return StageStateMessage((((text.encode(),),),))


class Peer:
    """The other side: what it sends is scripted, what it is sent is recorded."""

    def __init__(self) -> None:
        self.to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an ASGI message
        self.sent.append(message)

    def leave(self) -> None:
        self.to_server.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": ""})


async def test_small_messages_go_before_states() -> None:
    served, peer = transport(), Peer()
    channel = ScriptedChannel(served)
    channel.states = [state("one"), state("two")]
    channel.texts = ["text"]
    running = asyncio.create_task(served.run(channel, peer.to_server.get, peer.send))
    await channel.drained.wait()
    peer.leave()
    assert await running == ConnectionClose(cause=Cause.CLIENT)
    assert [message["text"] for message in peer.sent] == ["text", "one", "two"]


async def test_an_end_before_the_start_wins_over_what_the_client_does() -> None:
    served, peer = transport(), Peer()
    close = ConnectionClose(cause=None, close_code=4001)
    served.end(close)
    peer.leave()
    assert await served.run(ScriptedChannel(served), peer.to_server.get, peer.send) is close


async def test_the_last_message_is_sent_before_the_close_frame() -> None:
    served, peer = transport(), Peer()
    await served.close(peer.send, ConnectionClose(cause=None, close_code=4001, close_reason="x", last_message="bye"))
    assert peer.sent == [
        {"type": "websocket.send", "text": "bye"},
        {"type": "websocket.close", "code": 4001, "reason": "x"},
    ]


async def test_a_client_that_is_gone_is_sent_nothing() -> None:
    served, peer = transport(), Peer()
    await served.close(peer.send, ConnectionClose(cause=Cause.PEER_LOST, last_message="bye"))
    assert peer.sent == []


def test_a_long_close_reason_is_cut_between_characters() -> None:
    reason = close_message(4001, "é" * 128)["reason"]
    assert len(reason.encode()) <= MAX_CLOSE_REASON_SIZE_BYTES
    assert set(reason) == {"é"}

"""A shared websocket over ASGI: three stages with a token each, and the wrapped messages of both sides."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from stagebook.api.participants.request_limits import RequestLimits
from stagebook.manager.presence.watchers import PresentParticipant, StageSnapshot
from tests.api.participants.fake_manager import CLAIMS, TOKEN, FakeManager
from tests.api.participants.test_events_websocket import DEADLINE_SECONDS, FakeSocket

CONNECTION_TOKEN = "connection.body.sign"
TOKENS = {"B": "second.body.sign", "C": "third.body.sign"}
QUERY = "error_over_ws=1"


def add_tokens(manager: FakeManager) -> None:
    """Let the manager know a token for participants B and C of two further stages."""
    for name, token in TOKENS.items():
        stage_arn = CLAIMS.stage_arn[:-1] + name
        manager.tokens[token] = replace(CLAIMS, participant_id=f"participant{name}", stage_arn=stage_arn)


def wrapped(logical_id: str, type_: str, **payload: object) -> str:
    """Return a message of a stage."""
    return json.dumps({"logicalId": logical_id, "message": {"type": type_, "payload": payload}})


def join_stage(logical_id: str, token: str, *, request_id: str = "r1", trace_id: str = "t1") -> str:
    return wrapped(logical_id, "aws:ivs:JOIN_STAGE", token=token, requestId=request_id, traceId=trace_id)


def listed(*participant_ids: str, number: int) -> StageSnapshot:
    present = [
        PresentParticipant(participant_id=each, user_id="", attributes={}, is_publishing=True)
        for each in participant_ids
    ]
    return StageSnapshot(stage_id="s", participants=tuple(present), sequence_number=number)


class SharedSocket(FakeSocket):
    """The client of a shared websocket."""

    async def receive_for(self, logical_id: str) -> dict[str, Any]:
        """Return the next message, which must be one of this stage."""
        frame = await self.receive_json()
        assert frame["logicalId"] == logical_id
        assert set(frame) == {"logicalId", "message"}
        message: dict[str, Any] = frame["message"]
        return message

    async def join(self, logical_id: str, token: str) -> None:
        """Join a stage, which must succeed."""
        self.send_text(join_stage(logical_id, token))
        assert await self.receive_for(logical_id) == {
            "type": "aws:ivs:JOIN_STAGE",
            "payload": {"requestId": "r1", "traceId": "t1"},
        }


@asynccontextmanager
async def shared(
    manager: FakeManager, *offers: str, limits: RequestLimits | None = None, joined: bool = True
) -> AsyncIterator[SharedSocket]:
    """Yield an accepted websocket with these offers of stages. It must have ended by the end of the block.

    With `joined`, the answers to the offers are checked and removed.
    """
    add_tokens(manager)
    socket = SharedSocket(manager, limits=limits)
    subprotocols = (CONNECTION_TOKEN, *offers)
    task = asyncio.create_task(socket.serve(path="/sanic", query=QUERY, subprotocols=subprotocols))
    assert await socket.receive() == {"type": "websocket.accept", "subprotocol": CONNECTION_TOKEN, "headers": []}
    for offer in offers if joined else ():
        logical_id = offer.partition("~")[0]
        answer = {"type": "aws:ivs:JOIN_STAGE", "payload": {"requestId": logical_id, "traceId": ""}}
        assert await socket.receive_for(logical_id) == answer
    yield socket
    async with asyncio.timeout(DEADLINE_SECONDS):
        await task


def ended(manager: FakeManager) -> list[tuple[object, ...]]:
    """Return the connections whose ends were reported, with their causes."""
    return [call[1:] for call in manager.calls if call[0] == "close_events"]


A = f"a~{TOKEN}"
B = f"b~{TOKENS['B']}"

"""Several stages over one websocket: the book after joins, offers, leaving, a lost websocket, and a revocation."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from stagebook.demo.generated_media import MovingBar, Tone
from tests.clients.backend import Backend
from tests.clients.stage_client import new_peer_connection, token_payload, wait_connected, with_candidates_in_video
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

DEADLINE_SECONDS = 20


class SharedClient:
    """A client with several stages. Its logical ids are those of the participants."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.peers: list[RTCPeerConnection] = []

    async def send(self, participant_id: str, type_: str, **payload: object) -> None:
        message = {"type": type_, "payload": payload}
        await self.socket.send(json.dumps({"logicalId": participant_id, "message": message}))

    async def receive(self, participant_id: str | None, type_: str) -> dict[str, Any]:
        """Return the payload of the next message of this type, and skip others."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                frame = json.loads(await self.socket.recv())
                message = frame.get("message", frame)
                if (frame.get("logicalId"), message["type"]) == (participant_id, type_):
                    payload: dict[str, Any] = message["payload"]
                    return payload

    async def join(self, participant_id: str, token: str) -> dict[str, Any]:
        await self.send(participant_id, "aws:ivs:JOIN_STAGE", token=token, requestId="r", traceId="t")
        return await self.receive(participant_id, "aws:ivs:JOIN_STAGE")

    async def publish(self, participant_id: str, token: str) -> str:
        """Publish; return the location of the connection."""
        peer = new_peer_connection()
        self.peers.append(peer)
        for track in (Tone(), MovingBar()):
            peer.addTransceiver(track, direction="sendrecv")
        await peer.setLocalDescription(await peer.createOffer())
        url = f"{token_payload(token)['whip_url']}/publish/{participant_id}"
        ids = {"requestId": str(uuid.uuid4()), "traceId": "t"}
        sdp = peer.localDescription.sdp
        await self.send(participant_id, "aws:ivs:SDP_OFFER", whipUrl=url, content=sdp, sdk="1.41.0", **ids)
        answer = await self.receive(participant_id, "aws:ivs:SDP_ANSWER")
        sdp = with_candidates_in_video(answer["content"])
        await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        await wait_connected(peer)
        location: str = answer["location"]
        return location

    async def close(self) -> None:
        for peer in self.peers:
            await peer.close()


@contextlib.asynccontextmanager
async def shared_client(connection_token: str, *offers: str) -> AsyncIterator[SharedClient]:
    """Connect with these stages, `<participant id>~<token>`."""
    origin = token_payload(connection_token)["events_url"].removesuffix("/events")
    subprotocols = [Subprotocol(each) for each in (connection_token, *offers)]
    async with connect(f"{origin}/sanic?error_over_ws=1", subprotocols=subprotocols) as socket:
        assert socket.subprotocol == connection_token
        client = SharedClient(socket)
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture
async def backend(stage: StageHandle) -> Backend:
    """An application backend with an imported key of its own, which signs tokens."""
    return await asyncio.to_thread(Backend, stage.ivs)


@pytest.fixture
def second(server: RunningServer) -> StageHandle:
    """A second stage."""
    return StageHandle(server)


async def test_two_stages_over_one_websocket(stage: StageHandle, second: StageHandle, backend: Backend) -> None:
    first_token = backend.token(stage.arn, "P", "PUBLISH", "SUBSCRIBE")
    second_token = backend.token(second.arn, "Q", "PUBLISH", "SUBSCRIBE")
    connection_token = backend.connection_token(stage.arn, "two-stages")
    async with shared_client(connection_token, f"P~{first_token}") as client:
        assert await client.receive("P", "aws:ivs:JOIN_STAGE") == {"requestId": "P", "traceId": ""}
        assert "error" not in await client.join("Q", second_token)
        await client.publish("P", first_token)
        state = await client.receive("P", "STAGE_STATE")
        while not state["participants"]:
            state = await client.receive("P", "STAGE_STATE")
        assert [participant["id"] for participant in state["participants"]] == ["P"]
        await stage.expect_events("P", "JOINED", "PUBLISH_STARTED")
        assert (await stage.participant("P"))["sdkVersion"] == "1.41.0"
        await client.send("Q", "aws:ivs:LEAVE_STAGE", code=0, requestId="r")
        await second.expect_events("Q", "JOINED", "LEFT")
        assert "error" not in await client.join("Q", second_token)
    await second.expect_events("Q", "JOINED", "LEFT", "JOINED", "LEFT")
    await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_a_deleted_stage_and_a_lost_websocket(stage: StageHandle, second: StageHandle, backend: Backend) -> None:
    tokens = [backend.token(each.arn, name, "SUBSCRIBE") for each, name in ((stage, "P"), (second, "Q"))]
    connection_token = backend.connection_token(stage.arn, "deleted-stage")
    async with shared_client(connection_token, f"P~{tokens[0]}", f"Q~{tokens[1]}") as client:
        await client.receive("Q", "aws:ivs:JOIN_STAGE")
        await asyncio.to_thread(second.ivs.delete_stage, arn=second.arn)
        assert (await client.receive("Q", "aws:ivs:DISCONNECT"))["code"] == "STAGE_DELETED"
        assert (await client.join("Q", tokens[1]))["error"]["fatal"] is True
        await client.socket.send('{"type":"PING"}')
        client.socket.transport.abort()
    await stage.expect_events("P", "JOINED", "LEFT")


async def test_a_revocation_ends_media_and_all_stages(
    stage: StageHandle, second: StageHandle, backend: Backend
) -> None:
    tokens = [backend.token(each.arn, name, "PUBLISH") for each, name in ((stage, "P"), (second, "Q"))]
    connection_token = backend.connection_token(stage.arn, "revoked")
    async with shared_client(connection_token, f"P~{tokens[0]}", f"Q~{tokens[1]}") as client:
        await client.publish("P", tokens[0])
        await stage.expect_events("P", "JOINED", "PUBLISH_STARTED")
        await asyncio.to_thread(stage.ivs.revoke_connection_token, tokenId="revoked")
        assert (await client.receive(None, "aws:ivs:JOIN_ERROR"))["code"] == "TOKEN_REVOKED"
        with pytest.raises(ConnectionClosed):
            await client.socket.recv()
        assert client.socket.close_code == 4003
    await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    await second.expect_events("Q", "JOINED", "LEFT")
    async with shared_client(connection_token, f"P~{tokens[0]}") as client:
        assert (await client.receive(None, "aws:ivs:JOIN_ERROR"))["code"] == "TOKEN_REVOKED"


async def test_the_tokens_of_another_account_are_refused(
    stage: StageHandle, second: StageHandle, backend: Backend
) -> None:
    connection_token = backend.connection_token(stage.arn, "other-region")
    elsewhere = second.arn.replace("us-west-2", "eu-west-1")
    payload = {"resource": elsewhere}
    async with shared_client(connection_token) as client:
        refused = await client.join("Q", backend.token(second.arn, "Q", "SUBSCRIBE", **payload))
        assert refused["error"]["fatal"] is True
        assert "error" not in await client.join("P", backend.token(stage.arn, "P", "SUBSCRIBE"))

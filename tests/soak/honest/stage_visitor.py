"""Participants that come and go, and participants that stay on the events websocket."""

import asyncio
import json
import random
import time
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.clients.stage_client import token_payload
from tests.soak.honest.broadcast import receive_packet
from tests.soak.media_peer import connected_peer, subscribe_url
from tests.soak.soak_job import HONEST_HOST, Recorder, SoakJob

ATTRIBUTES = {"name": "x" * 900}
"""Those of participants that stay: 1 KiB is the quota."""
STATE_TIMEOUT_SECONDS = 20.0
_PAUSE_SECONDS = (0.5, 3.0)
_STAY_SECONDS = (1.0, 5.0)


async def create_token(job: SoakJob, recorder: Recorder, ivs: Any, **request: Any) -> str:  # noqa: ANN401 - boto3
    """Create a participant token for watching, and count the latency."""
    started_at = time.monotonic()
    created = await asyncio.to_thread(
        ivs.create_participant_token, stageArn=job.stage_arn, capabilities=["SUBSCRIBE"], **request
    )
    recorder.took_since("CreateParticipantToken", started_at)
    token: str = created["participantToken"]["token"]
    return token


def connect_events(token: str, *, local_host: str) -> connect:
    """Return the events websocket of a token, which is to be entered."""
    payload = token_payload(token)
    return connect(
        f"{payload['events_url']}/{payload['topic']}",
        subprotocols=[Subprotocol(token)],
        local_addr=(local_host, 0),
        max_size=None,
    )


async def visit(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, ivs: Any, choice: random.Random) -> None:  # noqa: ANN401 - boto3
    """Join, watch the publisher for some seconds, and leave."""
    token = await create_token(job, recorder, ivs)
    started_at = time.monotonic()
    async with connect_events(token, local_host=HONEST_HOST) as socket:
        await _wait_for_state(socket)
        recorder.took_since("events websocket, first stage state", started_at)
        listening = asyncio.create_task(_listen(socket))
        try:
            async with connected_peer(
                http,
                subscribe_url(token, job.publisher_id),
                token,
                direction="recvonly",
                operation="WHIP subscribe",
                recorder=recorder,
                local_host=HONEST_HOST,
            ) as peer:
                leave_at = time.monotonic() + choice.uniform(*_STAY_SECONDS)
                while time.monotonic() < leave_at:
                    await receive_packet(peer, recorder)
        finally:
            listening.cancel()


async def keep_visiting(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, ivs: Any, *, seed: int) -> None:  # noqa: ANN401 - boto3
    """Visit again and again until the end of the test. Failures are counted."""
    choice = random.Random(seed)
    while not job.is_over:
        try:
            await visit(job, recorder, http, ivs, choice)
        except Exception as error:  # noqa: BLE001 - whatever it was, an honest client has failed
            recorder.outcomes[f"visitor: {error!r}"[:200]] += 1
        await asyncio.sleep(choice.uniform(*_PAUSE_SECONDS))


async def stay_idle(job: SoakJob, recorder: Recorder, token: str) -> None:
    """Stay on the events websocket until the end of the test, and read it. An end before that is counted."""
    while not job.is_over:
        try:
            async with connect_events(token, local_host=HONEST_HOST) as socket:
                async with asyncio.timeout(max(0.1, job.end_at - time.monotonic())):
                    await _listen(socket)
        except TimeoutError:
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, an honest client has failed
            recorder.outcomes[f"idle participant: {error!r}"[:200]] += 1
            await asyncio.sleep(1)


async def _listen(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def _wait_for_state(socket: ClientConnection) -> None:
    async with asyncio.timeout(STATE_TIMEOUT_SECONDS):
        while json.loads(await socket.recv())["type"] != "STAGE_STATE":
            pass

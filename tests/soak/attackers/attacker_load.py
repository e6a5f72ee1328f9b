"""All attackers of a soak test, in one process."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import httpx

from tests.soak.attackers import http_attackers, media_attackers, participant_attackers, rtmp_attackers
from tests.soak.attackers.attack import repeat
from tests.soak.soak_job import ATTACKER_HOST, LoadResult, Recorder, SoakJob, watch_lag

UNREAD_SOCKETS = 30
SLOW_CLIENTS = 20

_Attack: TypeAlias = Callable[[], Awaitable[None]]


async def run_attackers(job: SoakJob) -> LoadResult:
    """Attack until the end of the test, and return what came of it."""
    recorder = Recorder(job)
    transport = httpx.AsyncHTTPTransport(local_address=ATTACKER_HOST, limits=httpx.Limits(max_connections=40))
    lag = asyncio.create_task(watch_lag(recorder, "lag of the attackers themselves"))
    async with httpx.AsyncClient(transport=transport) as http, asyncio.TaskGroup() as attackers:
        for name, attack, pause_seconds, count in [
            *_anonymous(job, recorder),
            *await asyncio.to_thread(_participants, job, recorder, http),
        ]:
            for _ in range(count):
                attackers.create_task(repeat(name, attack, job, recorder, pause_seconds=pause_seconds))
    lag.cancel()
    return recorder.result()


def _anonymous(job: SoakJob, recorder: Recorder) -> list[tuple[str, _Attack, float, int]]:
    """Return name, attack, pause in seconds and number of the attackers without a token."""
    return [
        ("pipelined requests, unread", partial(http_attackers.pipeline_without_reading, job), 0.5, 2),
        ("pipelined requests", partial(http_attackers.pipeline_with_reading, job), 0.5, 1),
        ("slow head", partial(http_attackers.send_slow_head, job), 1, SLOW_CLIENTS),
        ("slow body", partial(http_attackers.send_slow_body, job), 1, SLOW_CLIENTS),
        ("tiny chunks", partial(http_attackers.send_tiny_chunks, job, recorder), 0.5, 2),
        ("large upgrade", partial(http_attackers.send_large_upgrade, job, recorder), 0.1, 2),
        ("deep JSON", partial(http_attackers.send_deep_json, job, recorder), 0.5, 1),
        ("HTTP garbage", partial(http_attackers.send_garbage, job, recorder), 0.2, 1),
        ("RTMP garbage", partial(rtmp_attackers.send_garbage, job), 0.2, 2),
        ("large RTMP messages", partial(rtmp_attackers.announce_large_messages, job), 0.5, 1),
        ("RTMP keys", partial(rtmp_attackers.try_keys, job), 0.5, 1),
        ("silent RTMP", partial(rtmp_attackers.connect_and_wait, job), 0.5, 10),
    ]


def _participants(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient) -> list[tuple[str, _Attack, float, int]]:
    """Return the same of the attackers with a token. Each has one of its own."""
    ivs = job.client()

    def token(*capabilities: str, **request: Any) -> str:  # noqa: ANN401 - boto3
        created = ivs.create_participant_token(
            stageArn=job.stage_arn, capabilities=list(capabilities or ("SUBSCRIBE",)), **request
        )
        return str(created["participantToken"]["token"])

    media = media_attackers
    websockets = participant_attackers
    unread = [token(attributes={"name": "x" * 900}) for _ in range(UNREAD_SOCKETS)]
    return [
        ("forged tokens", partial(websockets.send_forged_tokens, job, recorder, http, token()), 0.1, 1),
        ("huge offers", partial(websockets.send_huge_offers, job, recorder, http, token()), 0.5, 1),
        ("pongs", partial(websockets.flood_pongs, job, token()), 0.5, 1),
        ("pings", partial(websockets.flood_pings, job, token()), 0.5, 1),
        ("fragments", partial(websockets.flood_fragments, job, token()), 0.5, 1),
        *(("unread websocket", partial(websockets.leave_unread, job, held), 1, 1) for held in unread),
        ("NACKs", partial(media.flood_nacks, job, recorder, http, token()), 1, 1),
        ("keyframe requests", partial(media.flood_keyframe_requests, job, recorder, http, token()), 1, 1),
        ("DTLS records", partial(media.flood_handshake_records, job, recorder, http, token()), 1, 1),
        ("datagrams", partial(media.flood_datagrams, job, recorder, http, token()), 1, 1),
        ("SSRCs", partial(media.flood_ssrcs, job, recorder, http, token("PUBLISH")), 1, 1),
    ]

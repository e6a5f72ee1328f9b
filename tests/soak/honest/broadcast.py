"""The stage's publisher, and viewers that stay: they measure the delay of every packet."""

import asyncio
import contextlib
import struct
import time

import httpx

from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from tests.clients.stage_client import token_payload
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RawPeer
from tests.soak.media_peer import connected_peer, subscribe_url
from tests.soak.soak_job import HONEST_HOST, Recorder, SoakJob

FRAMES_PER_SECOND = 25
KEYFRAME_INTERVAL_FRAMES = 25
_SSRC = 4_711
_TICKS = 90_000 // FRAMES_PER_SECOND
_FILLER_BYTES = 900
_SENT_AT = struct.Struct("!d")
DELAY = "media, publisher to viewer"
SILENCE_SECONDS = 10.0


async def publish(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, started: asyncio.Event) -> None:
    """Publish until the task is cancelled. Each packet ends with the time at which it is sent."""
    url = token_payload(job.publisher_token)["whip_url"]
    async with connected_peer(
        http,
        url,
        job.publisher_token,
        direction="sendonly",
        operation="WHIP publish",
        recorder=recorder,
        local_host=HONEST_HOST,
    ) as peer:
        started.set()
        frame, next_at = 0, time.monotonic()
        while True:
            await _send_frame(peer, frame)
            for _ in peer.pending():
                pass
            frame += 1
            next_at += 1 / FRAMES_PER_SECOND
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))


async def _send_frame(peer: RawPeer, frame: int) -> None:
    is_keyframe = frame % KEYFRAME_INTERVAL_FRAMES == 0
    payload = vp8_keyframe(filler=_FILLER_BYTES) if is_keyframe else vp8_delta(_FILLER_BYTES)
    payload += _SENT_AT.pack(time.monotonic())
    await peer.send_rtp(rtp(payload, sequence=frame, timestamp=frame * _TICKS, ssrc=_SSRC, marker=True))


async def watch(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Watch the publisher until the end of the test; a viewer that gets nothing for SILENCE_SECONDS has failed."""
    async with connected_peer(
        http,
        subscribe_url(token, job.publisher_id),
        token,
        direction="recvonly",
        operation="WHIP subscribe",
        recorder=recorder,
        local_host=HONEST_HOST,
    ) as peer:
        while not job.is_over:
            await receive_packet(peer, recorder)


async def receive_packet(peer: RawPeer, recorder: Recorder) -> None:
    """Receive a packet of the publisher's video and count its delay. Raises TimeoutError after SILENCE_SECONDS."""
    async with asyncio.timeout(SILENCE_SECONDS):
        while True:
            received = await peer.receive(SILENCE_SECONDS)
            if isinstance(received, RtpPacket) and len(received.payload) > _FILLER_BYTES:
                break
    sent_at: float = _SENT_AT.unpack(received.payload[-_SENT_AT.size :])[0]
    recorder.took(DELAY, time.monotonic() - sent_at, started_at=sent_at)


async def stay(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Watch until the end of the test, and again after a failure, which is counted."""
    while not job.is_over:
        try:
            await watch(job, recorder, http, token)
        except Exception as error:  # noqa: BLE001 - whatever it was, an honest client has failed
            recorder.outcomes[f"viewer: {error!r}"] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.sleep(1)

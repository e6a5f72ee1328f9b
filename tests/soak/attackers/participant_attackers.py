"""Attacks on tokens, offers and the events websocket. Most of them hold a valid token."""

import asyncio
import base64
import json
import secrets
import socket
from urllib.parse import urlsplit

import httpx

from tests.clients.stage_client import token_payload
from tests.media.rtc.raw_peer import RawPeer
from tests.soak.attackers.attack import Pace, connection
from tests.soak.media_peer import post_offer, subscribe_url
from tests.soak.soak_job import ATTACKER_HOST, Recorder, SoakJob

_PONG, _PING = b"\x8a\x80\x00\x00\x00\x00", b"\x89\x80\x00\x00\x00\x00"
_FRAGMENT = b"\x01\x80\x00\x00\x00\x00" + b"\x00\x80\x00\x00\x00\x00" * 100
_FRAMES_PER_WRITE = 1_000
_WRITES_PER_SECOND = 84
"""0.5 MB/s of frames of 6 bytes."""


def forged_token(valid: str, *, depth: int = 0) -> str:
    """Return a token with the payload of a valid one, nested further, and another signature."""
    header, _, _ = valid.split(".")
    payload = json.dumps({**token_payload(valid), "jti": secrets.token_hex(6)})
    if depth:
        payload = payload[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"
    body = base64.urlsafe_b64encode(payload.encode()).rstrip(b"=").decode()
    return f"{header}.{body}.{secrets.token_urlsafe(96)}"


async def send_forged_tokens(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, valid: str) -> None:
    """Send offers with forged tokens, 100 per second; one of ten is deeply nested."""
    pace = Pace(100)
    url = subscribe_url(valid, job.publisher_id)
    for number in range(200):
        token = forged_token(valid, depth=0 if number % 10 else 3_000)
        response = await post_offer(http, url, token, "v=0\r\n")
        recorder.statuses[f"forged token {response.status_code}"] += 1
        await pace.wait()


async def send_huge_offers(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Send offers of 57 KB, twenty at once."""
    sdp = huge_offer()
    url = subscribe_url(token, job.publisher_id)
    responses = await asyncio.gather(*(post_offer(http, url, token, sdp) for _ in range(20)))
    for response in responses:
        recorder.statuses[f"huge offer {response.status_code}"] += 1


def huge_offer() -> str:
    """Return an offer with as many feedback lines as are allowed, for as many formats as are allowed."""
    head, _, video = RawPeer().offer("recvonly").partition("m=video")
    formats = " ".join(str(number) for number in range(128))
    lines = ["m=video 9 UDP/TLS/RTP/SAVPF " + formats, *video.splitlines()[1:]]
    lines += [f"a=rtpmap:{number} H264/90000" for number in range(128)]
    lines += [f"a=rtcp-fb:{'*' if number % 2 else number % 128} nack" for number in range(500)]
    lines += [f"a=fmtp:{number} packetization-mode=1;profile-level-id=42e01f;x={'y' * 300}" for number in range(128)]
    sdp = head + "\r\n".join(lines) + "\r\n"
    return sdp[:57_000].rpartition("\r\n")[0] + "\r\n"


async def flood_frames(job: SoakJob, token: str, frame: bytes) -> None:
    """Open the events websocket and send frames, 0.5 MB per second, without reading."""
    async with connection(job) as (reader, writer):
        writer.write(_handshake(token))
        await reader.readuntil(b"\r\n\r\n")
        pace = Pace(_WRITES_PER_SECOND * len(_PONG) / len(frame))
        while not job.is_over:
            writer.write(frame * _FRAMES_PER_WRITE)
            await writer.drain()
            await pace.wait()


async def flood_pongs(job: SoakJob, token: str) -> None:
    """Send pongs that nobody asked for."""
    await flood_frames(job, token, _PONG)


async def flood_pings(job: SoakJob, token: str) -> None:
    """Send pings and read no pong."""
    await flood_frames(job, token, _PING)


async def flood_fragments(job: SoakJob, token: str) -> None:
    """Send messages that do not end, in empty fragments."""
    await flood_frames(job, token, _FRAGMENT)


async def leave_unread(job: SoakJob, token: str) -> None:
    """Open the events websocket with a small receive buffer, and read nothing."""
    split = urlsplit(job.endpoint_url)
    opened = socket.socket()
    opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    opened.bind((ATTACKER_HOST, 0))
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(opened, (split.hostname, split.port))
        await loop.sock_sendall(opened, _handshake(token))
        await asyncio.sleep(30)
    finally:
        opened.close()


def _handshake(token: str) -> bytes:
    payload = token_payload(token)
    path = urlsplit(f"{payload['events_url']}/{payload['topic']}").path
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: {token}\r\n\r\n"
    ).encode()

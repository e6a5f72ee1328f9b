"""Attacks on the HTTP port that need no token."""

import asyncio
import secrets

from tests.clients.stage_client import token_payload
from tests.soak.attackers.attack import Pace, connection, count_status
from tests.soak.soak_job import Recorder, SoakJob

_GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
_CHUNKED = b"POST /ListStages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
READ_SECONDS = 3.0


async def pipeline_without_reading(job: SoakJob) -> None:
    """Send requests as fast as they are taken, and read no response."""
    async with connection(job) as (_, writer):
        while not job.is_over:
            writer.write(_GET * 1_000)
            async with asyncio.timeout(READ_SECONDS):
                await writer.drain()


async def pipeline_with_reading(job: SoakJob) -> None:
    """Send bursts of a hundred requests, three times a second, and read the responses."""
    pace = Pace(3)
    async with connection(job) as (reader, writer):
        while not job.is_over:
            writer.write(_GET * 100)
            for _ in range(100):
                async with asyncio.timeout(READ_SECONDS):
                    await reader.readuntil(b"\r\n\r\n")
            await pace.wait()


async def send_slow_head(job: SoakJob) -> None:
    """Send one byte of a head per second."""
    async with connection(job) as (_, writer):
        for byte in _GET:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)


async def send_slow_body(job: SoakJob) -> None:
    """Declare a body of an offer and send one byte of it per second."""
    path = token_payload(job.publisher_token)["whip_url"].partition("://")[2].partition("/")[2]
    head = f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: 5000\r\n"
    async with connection(job) as (_, writer):
        writer.write(head.encode() + b"Authorization: Bearer x.y.z\r\n\r\n")
        while not job.is_over:
            writer.write(b"v")
            await writer.drain()
            await asyncio.sleep(1)


async def send_tiny_chunks(job: SoakJob, recorder: Recorder) -> None:
    """Send a body in chunks of one byte, 600 KB per second, and 60 KiB of trailers."""
    pace = Pace(100)
    async with connection(job) as (reader, writer):
        writer.write(_CHUNKED)
        for _ in range(80):
            writer.write(b"1\r\nx\r\n" * 1_000)
            await writer.drain()
            await pace.wait()
        writer.write(b"0\r\n" + b"X-Trailer: y\r\n" * 4_500 + b"\r\n")
        async with asyncio.timeout(READ_SECONDS):
            count_status(recorder, "tiny chunks", await reader.readline())


async def send_large_upgrade(job: SoakJob, recorder: Recorder) -> None:
    """Ask for a websocket with more header fields than are allowed, or with a large one."""
    fields = b"X: y\r\n" * 200 if secrets.randbelow(2) else b"X: " + b"y" * 12_000 + b"\r\n"
    async with connection(job) as (reader, writer):
        writer.write(_UPGRADE + fields + b"\r\n")
        async with asyncio.timeout(READ_SECONDS):
            count_status(recorder, "large upgrade", await reader.readline())


async def send_deep_json(job: SoakJob, recorder: Recorder) -> None:
    """Send a body of nested arrays without a signature."""
    body = b"[" * 200_000
    async with connection(job) as (reader, writer):
        writer.write(b"POST /CreateStage HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + body)
        async with asyncio.timeout(READ_SECONDS):
            count_status(recorder, "deep JSON", await reader.readline())


async def send_garbage(job: SoakJob, recorder: Recorder) -> None:
    """Send bytes that are not HTTP."""
    async with connection(job) as (reader, writer):
        writer.write(secrets.token_bytes(20_000))
        async with asyncio.timeout(READ_SECONDS):
            count_status(recorder, "garbage", await reader.readline())

"""Attacks on the RTMP port, without a valid stream key."""

import asyncio
import secrets
from urllib.parse import urlsplit

from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.message import Message, MessageType
from tests.clients.rtmp_publisher import RtmpPublisher
from tests.soak.soak_job import ATTACKER_HOST, SoakJob

_WAIT_SECONDS = 5.0


def _publisher(job: SoakJob) -> RtmpPublisher:
    split = urlsplit(job.rtmp_url)
    assert split.hostname is not None
    assert split.port is not None
    return RtmpPublisher(split.hostname, split.port, local_host=ATTACKER_HOST)


async def send_garbage(job: SoakJob) -> None:
    """Send bytes that are no handshake, or a handshake and then bytes that are no chunks."""
    split = urlsplit(job.rtmp_url)
    if secrets.randbelow(2):
        reader, writer = await asyncio.open_connection(split.hostname, split.port, local_addr=(ATTACKER_HOST, 0))
        writer.write(secrets.token_bytes(100_000))
        async with asyncio.timeout(_WAIT_SECONDS):
            await reader.read()
        writer.transport.abort()
        return
    async with _publisher(job) as client:
        await client.raw(secrets.token_bytes(100_000))
        await client.closed()


async def announce_large_messages(job: SoakJob) -> None:
    """Begin messages of 16 MB on many chunk streams, and send a byte of each."""
    async with _publisher(job) as client:
        for number in range(3, 60):
            message = Message(MessageType.VIDEO, 1, 0, bytes(4_000_000))
            await client.raw(write_message(message, chunk_stream_id=number, chunk_bytes=128)[:13])
        await client.closed()


async def try_keys(job: SoakJob) -> None:
    """Publish with a key that does not exist."""
    async with _publisher(job) as client:
        await client.publish(f"sk_us-west-2_{secrets.token_hex(8)}")


async def connect_and_wait(job: SoakJob) -> None:
    """Connect and send nothing."""
    split = urlsplit(job.rtmp_url)
    reader, writer = await asyncio.open_connection(split.hostname, split.port, local_addr=(ATTACKER_HOST, 0))
    try:
        await reader.read()
    finally:
        writer.transport.abort()

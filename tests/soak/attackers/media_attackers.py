"""Attacks on the media ports: from anybody, and from peers with a valid connection."""

import secrets
import socket
from collections.abc import Awaitable, Callable

import httpx

from stagebook.media.rtc.rtp.rtcp_writer import write_nack, write_pli
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from tests.clients.stage_client import token_payload
from tests.media.rtc.packets import rtp, vp8_delta
from tests.media.rtc.raw_peer import RawPeer
from tests.soak.attackers.attack import Pace
from tests.soak.media_peer import connected_peer, subscribe_url
from tests.soak.soak_job import ATTACKER_HOST, Recorder, SoakJob

_NACK_ITEMS = 320
"""A compound of 1.3 KB, about the most that libsrtp protects. It names 5,440 packets."""


async def _attack_as_viewer(
    job: SoakJob,
    recorder: Recorder,
    http: httpx.AsyncClient,
    token: str,
    send: Callable[[RawPeer, RtpPacket], Awaitable[None]],
    *,
    per_second: float,
) -> None:
    """Watch the publisher, and send something again and again. `send` gets the first packet of the video."""
    async with connected_peer(
        http,
        subscribe_url(token, job.publisher_id),
        token,
        direction="recvonly",
        operation="attacker subscribes",
        recorder=recorder,
        local_host=ATTACKER_HOST,
    ) as peer:
        first = await peer.receive_rtp()
        pace = Pace(per_second)
        while not job.is_over:
            await send(peer, first)
            for _ in peer.pending():
                pass
            await pace.wait()


async def flood_nacks(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Ask for 5,440 packets 200 times a second: 2.1 Mbit/s."""

    async def send(peer: RawPeer, first: RtpPacket) -> None:
        items = b"".join(secrets.token_bytes(2) + b"\xff\xff" for _ in range(_NACK_ITEMS))
        head = write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[])
        await peer.send_rtcp(head[:2] + (2 + _NACK_ITEMS).to_bytes(2) + head[4:] + items)

    await _attack_as_viewer(job, recorder, http, token, send, per_second=200)


async def flood_keyframe_requests(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Ask for a keyframe 500 times a second."""

    async def send(peer: RawPeer, first: RtpPacket) -> None:
        await peer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))

    await _attack_as_viewer(job, recorder, http, token, send, per_second=500)


async def flood_handshake_records(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Send datagrams of DTLS records from a verified address, 300 a second."""
    record = b"\x16\xfe\xfd\0\1" + bytes(6) + (30).to_bytes(2) + bytes(30)

    async def send(peer: RawPeer, _first: RtpPacket) -> None:
        await peer.send_datagram(record * 25)

    await _attack_as_viewer(job, recorder, http, token, send, per_second=300)


async def flood_datagrams(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Send datagrams of any content from an address that nobody has verified, 1,000 a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((ATTACKER_HOST, 0))

        async def send(peer: RawPeer, _first: RtpPacket) -> None:
            opened.sendto(secrets.token_bytes(1 + secrets.randbelow(1_200)), peer.engine_address)

        await _attack_as_viewer(job, recorder, http, token, send, per_second=1_000)


async def flood_ssrcs(job: SoakJob, recorder: Recorder, http: httpx.AsyncClient, token: str) -> None:
    """Publish with a new SSRC for each packet, 1,000 a second."""
    async with connected_peer(
        http,
        token_payload(token)["whip_url"],
        token,
        direction="sendonly",
        operation="attacker publishes",
        recorder=recorder,
        local_host=ATTACKER_HOST,
    ) as peer:
        pace = Pace(1_000)
        number = 0
        while not job.is_over:
            number += 1
            await peer.send_rtp(rtp(vp8_delta(), sequence=number, ssrc=100_000 + number))
            for _ in peer.pending():
                pass
            await pace.wait()

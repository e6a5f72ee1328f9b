"""A RawPeer that connects through the server's WHIP endpoint, and keeps its connection alive."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator

import httpx

from tests.clients.stage_client import token_payload
from tests.media.rtc.raw_peer import RawPeer
from tests.soak.soak_job import Recorder

CONSENT_INTERVAL_SECONDS = 4.0
HTTP_TIMEOUT_SECONDS = 20.0
_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host")


class OfferFailedError(Exception):
    """An offer was not answered with 201."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code} {response.text[:80]}")
        self.status = response.status_code


async def post_offer(http: httpx.AsyncClient, url: str, token: str, offer: str) -> httpx.Response:
    """Send an offer and return the response."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    return await http.post(url, content=offer, headers=headers, follow_redirects=True, timeout=HTTP_TIMEOUT_SECONDS)


def subscribe_url(token: str, publisher_id: str) -> str:
    """Return the URL at which the holder of a token watches a publisher."""
    return f"{token_payload(token)['whip_url']}/subscribe/{publisher_id}"


@contextlib.asynccontextmanager
async def connected_peer(
    http: httpx.AsyncClient,
    url: str,
    token: str,
    *,
    direction: str,
    operation: str,
    recorder: Recorder,
    local_host: str,
) -> AsyncIterator[RawPeer]:
    """Connect a peer and close it at the end without a DELETE. Raises OfferFailedError and TimeoutError.

    The time of the answer is counted as `operation`, the time up to the SRTP keys as `<operation>, connected`.
    """
    peer = RawPeer(local_host=local_host)
    try:
        await _connect(peer, http, url, token, direction=direction, operation=operation, recorder=recorder)
        consent = asyncio.create_task(_keep_consent(peer))
        try:
            yield peer
        finally:
            consent.cancel()
        await peer.send_close_notify()
    finally:
        peer.close()


async def _connect(
    peer: RawPeer,
    http: httpx.AsyncClient,
    url: str,
    token: str,
    *,
    direction: str,
    operation: str,
    recorder: Recorder,
) -> None:
    started_at = time.monotonic()
    response = await post_offer(http, url, token, peer.offer(direction))
    recorder.statuses[f"{operation} {response.status_code}"] += 1
    if response.status_code != 201:
        raise OfferFailedError(response)
    recorder.took_since(operation, started_at)
    found = _CANDIDATE.search(response.text)
    assert found is not None, response.text
    await peer.connect(response.text, int(found[1]))
    recorder.took_since(f"{operation}, connected", started_at)


async def _keep_consent(peer: RawPeer) -> None:
    while True:
        await asyncio.sleep(CONSENT_INTERVAL_SECONDS)
        await peer.send_datagram(peer.check_message())

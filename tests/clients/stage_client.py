"""A client of a stage that behaves as the public Python samples for IVS stages do on the wire.

What matters of their behaviour: addresses read from the token's payload or the global WHIP address, redirects followed
by hand with all headers kept, anything but 201 a failure, the answer's candidates copied from the audio into the video
section, transceivers that offer `sendrecv` although they only send, bundle policy max-bundle, and no DELETE at the end:
they close the peer connection.
"""

import asyncio
import base64
import contextlib
import json
from typing import Any

import httpx
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

REDIRECTS = 5
TIMEOUT_SECONDS = 20.0


class OfferRefusedError(Exception):
    """The server answered an offer by something else than 201."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code}: {response.text}")
        self.status = response.status_code
        self.code: str = response.json()["code"]


def token_payload(token: str) -> dict[str, Any]:
    """Return what a token says, unverified, decoded as the samples decode it."""
    text = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (4 - len(text) % 4)))
    return payload


def new_peer_connection() -> RTCPeerConnection:
    """Return a connection as the samples make it, but without the public STUN server that is their default."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


async def offer(connection: RTCPeerConnection, url: str, token: str) -> httpx.Response:
    """Offer and take the answer; return the response. Raises OfferRefusedError."""
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        for _ in range(REDIRECTS):
            response = await http.post(url, content=connection.localDescription.sdp, headers=headers)
            if response.status_code not in {301, 302, 303, 307, 308}:
                break
            url = response.headers["location"]
    if response.status_code != 201:
        raise OfferRefusedError(response)
    answer = RTCSessionDescription(sdp=with_candidates_in_video(response.text), type="answer")
    await connection.setRemoteDescription(answer)
    return response


def with_candidates_in_video(answer: str) -> str:
    """Return an answer whose video section has the audio section's candidates, too, and their end."""
    sections = answer.replace("\r\n", "\n").rstrip("\n").split("\nm=")
    candidates = [
        line
        for section in sections
        if section.startswith("audio")
        for line in section.split("\n")
        if line.startswith("a=candidate:")
    ]
    mended = [
        "\n".join([section, *candidates, "a=end-of-candidates"]) if section.startswith("video") else section
        for section in sections
    ]
    return "\nm=".join(mended) + "\n"


async def wait_connected(connection: RTCPeerConnection) -> None:
    """Wait until media can flow."""
    await wait_for_state(connection, "connected")


async def wait_for_state(connection: RTCPeerConnection, *states: str) -> None:
    """Wait until the connection is in one of these states; raise TimeoutError."""
    reached = asyncio.Event()

    @connection.on("connectionstatechange")
    def note() -> None:
        if connection.connectionState in states:
            reached.set()

    note()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reached.wait(), TIMEOUT_SECONDS)
    if not reached.is_set():
        raise TimeoutError(f"the connection is {connection.connectionState}, not {' or '.join(states)}")

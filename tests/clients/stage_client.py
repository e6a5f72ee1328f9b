"""A WHIP client that behaves on the wire like the public Python samples for IVS stages.

It takes the URLs from the payload of the token, or uses the global WHIP URL. It follows redirects itself and keeps all
header fields; every status except 201 is a failure. It copies the candidates of the answer from the audio section to
the video section. Publishers offer `sendrecv` transceivers, the bundle policy is max-bundle, and at the end the peer
connection is closed without a DELETE request.
"""

import asyncio
import base64
import contextlib
import json
from typing import Any

import httpx
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

MAX_REDIRECTS = 5
TIMEOUT_SECONDS = 20.0


class OfferRefusedError(Exception):
    """The response to an offer had another status than 201. `status` and `code` are those of the response."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code}: {response.text}")
        self.status = response.status_code
        self.code: str = response.json()["code"]


def token_payload(token: str) -> dict[str, Any]:
    """Return the payload of a token without verification, decoded like in the samples."""
    encoded = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (4 - len(encoded) % 4)))
    return payload


def new_peer_connection() -> RTCPeerConnection:
    """Return a peer connection like in the samples, but without their default public STUN server."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


async def offer(connection: RTCPeerConnection, url: str, token: str) -> httpx.Response:
    """Send an offer and apply the answer; return the response. Raises OfferRefusedError."""
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        for _ in range(MAX_REDIRECTS):
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
    """Return the answer with the candidates of the audio section, and their end, added to the video section."""
    sections = answer.replace("\r\n", "\n").rstrip("\n").split("\nm=")
    candidates = [
        line
        for section in sections
        if section.startswith("audio")
        for line in section.split("\n")
        if line.startswith("a=candidate:")
    ]
    changed = [
        "\n".join([section, *candidates, "a=end-of-candidates"]) if section.startswith("video") else section
        for section in sections
    ]
    return "\nm=".join(changed) + "\n"


async def wait_connected(connection: RTCPeerConnection) -> None:
    """Wait until media is connected. Raises TimeoutError."""
    await wait_for_state(connection, "connected")


async def wait_for_state(connection: RTCPeerConnection, *states: str) -> None:
    """Wait until the connection is in one of these states. Raises TimeoutError."""
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

"""A WebRTC publisher. `python -m tests.clients.publisher TOKEN` publishes until it is killed."""

import asyncio
import sys

import httpx
from aiortc import RTCPeerConnection

from stagebook.demo.generated_media import MovingBar, Tone
from tests.clients.stage_client import new_peer_connection, offer, token_payload, wait_connected


class Publisher:
    """Publishes a moving bar and a tone."""

    def __init__(
        self, token: str, *, whip_url: str | None = None, video: str | None = "sendrecv", audio: str | None = "sendrecv"
    ) -> None:
        """Use `whip_url`, by default the WHIP URL in the payload of the token.

        `video` and `audio` are the directions of the two sections; None leaves the section out.
        """
        self.token = token
        self.connection: RTCPeerConnection = new_peer_connection()
        self._directions = {"audio": audio, "video": video}
        self._whip_url = whip_url or token_payload(token)["whip_url"]

    async def start(self) -> httpx.Response:
        """Publish; return the response to the offer when media is connected. Raises OfferRefusedError."""
        for track in (Tone(), MovingBar()):
            direction = self._directions[track.kind]
            if direction is not None:
                self.connection.addTransceiver(track, direction=direction)
        response = await offer(self.connection, self._whip_url, self.token)
        await wait_connected(self.connection)
        return response

    async def stop(self) -> None:
        """Close the peer connection, without a DELETE request."""
        await self.connection.close()


async def _main(token: str, whip_url: str | None) -> None:
    await Publisher(token, whip_url=whip_url).start()
    print("publishing", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))

"""Participants in Chromium or Firefox that reach the server through a relay."""

import asyncio
import time
from typing import Any, TypeAlias

import msgspec
from playwright.async_api import Browser

from tests.clients.stage_client import token_payload
from tests.e2e.client.bidi_connection import BidiConnection
from tests.e2e.client.client_tab import Tab, open_tab
from tests.network.emulator.emulated_network import (
    EmulatedNetwork,
    NetworkRelay,
    media_address,
    through_relay,
)
from tests.network.emulator.link_conditions import LinkConditions
from tests.network.statistics_log import StatisticsLog

PICTURE = {"width": 640, "height": 360, "framesPerSecond": 20, "detail": 0.2}
DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.1

Json: TypeAlias = Any


class NetworkParticipant:
    """A page with a connection through `relay`. Its log of statistics begins with the answer."""

    relay: NetworkRelay

    def __init__(self, tab: Tab, token: str) -> None:
        self.token = token
        self.payload = token_payload(token)
        self._tab = tab

    async def run(self, script: str, argument: Json = None) -> Json:
        """Call a JavaScript function in the page and return its awaited result."""
        return await self._tab.run(script, argument)

    async def connect(
        self,
        network: EmulatedNetwork,
        *,
        to_server: LinkConditions | None = None,
        to_peer: LinkConditions | None = None,
        seed: int = 1,
        keep_tcp: bool = False,
    ) -> None:
        """Send the offer, apply the answer with the port of a new relay, and wait for the connection."""
        answer = await self.run("() => connection.offer()")
        host, port = media_address(answer)
        self.relay = await network.relay(host, port, to_server=to_server, to_peer=to_peer, seed=seed)
        await self.run("(answer) => connection.accept(answer)", through_relay(answer, self.relay, keep_tcp=keep_tcp))
        await self.run("() => { window.log = new StatisticsLog(connection.peer); }")
        await self.wait_until("() => connection.peer.connectionState === 'connected'")

    async def keep_connected(self) -> None:
        """Restart ICE whenever the connection is disconnected, as the open client does."""
        await self.run("(port) => keepConnected(connection, port)", self.relay.port)

    async def wait_until(self, condition: str, argument: Json = None) -> None:
        """Wait until a function's result is true. Fails at the deadline, with the newest statistics."""
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while not await self.run(condition, argument):
            if time.monotonic() > deadline_seconds:
                newest = await self.run("() => [connection.connections, globalThis.log?.samples.at(-1)]")
                raise AssertionError(f"not true in time: {condition} ({argument})\n{newest}")
            await asyncio.sleep(POLL_SECONDS)

    async def wait_for_log(self, condition: str, argument: Json = None) -> None:
        """Wait until a condition on the newest sample holds."""
        await self.wait_until(f"(argument) => ({condition})(log.samples.at(-1) ?? {{}}, argument)", argument)

    async def seconds(self) -> float:
        """The time of the log."""
        return float(await self.run("() => (performance.now() - log.started) / 1000"))

    async def log(self) -> StatisticsLog:
        """The log so far."""
        # One string is faster than many values on their way from a page.
        return StatisticsLog(msgspec.json.decode(await self.run("() => JSON.stringify(log.samples)")))

    async def close(self) -> None:
        """Close the connection with DELETE."""
        await self.run("() => connection.close()")


class NetworkPublisher(NetworkParticipant):
    """A page that publishes a picture that needs its bit rate, and a tone."""

    async def prepare(
        self,
        *,
        codec: str = "VP8",
        picture: dict[str, Any] | None = None,
        encodings: list[dict[str, Any]] | None = None,
    ) -> None:
        """Make the peer connection. `encodings` are those of RTCRtpTransceiverInit."""
        options = {"picture": picture or PICTURE, "codec": codec, "encodings": encodings or [{"maxBitrate": 2_500_000}]}
        await self.run(
            """async ([url, token, options]) => {
                window.connection = new NetworkPublisher(url, token);
                await connection.prepare(options);
            }""",
            [self.payload["whip_url"], self.token, options],
        )


class NetworkViewer(NetworkParticipant):
    """A page that watches one publisher."""

    async def prepare(self, publisher_id: str) -> None:
        """Make the peer connection and show what it receives."""
        await self.run(
            """([url, token]) => {
                window.connection = new Viewer(url, token);
                document.getElementById("video").srcObject = connection.stream;
            }""",
            [f"{self.payload['whip_url']}/subscribe/{publisher_id}", self.token],
        )

    async def wait_for_more_frames(self, count: int) -> None:
        """Wait until so many more frames have been decoded."""
        decoded = (await self.log()).last("video", "framesDecoded")
        await self.wait_for_log("(sample, count) => sample.video?.framesDecoded >= count", decoded + count)


class NetworkParticipants:
    """Opens the pages of one browser, and closes them."""

    def __init__(self, browser: Browser | BidiConnection, address: str) -> None:
        self._browser = browser
        self._address = address
        self._tabs: list[Tab] = []

    async def publisher(self, token: str, *, is_steady: bool = False) -> NetworkPublisher:
        """Open a page for a publisher. With `is_steady` it does not lower its bitrate."""
        return NetworkPublisher(await self._open(is_steady=is_steady), token)

    async def viewer(self, token: str) -> NetworkViewer:
        """Open a page for a viewer."""
        return NetworkViewer(await self._open(), token)

    async def close(self) -> None:
        """Close all pages. An error of a page fails the test."""
        errors = []
        for tab in self._tabs:
            errors += await tab.run("() => uncaught")
            await tab.close()
        assert errors == []

    async def _open(self, *, is_steady: bool = False) -> Tab:
        tab = await open_tab(self._browser, self._address, is_steady=is_steady)
        self._tabs.append(tab)
        return tab

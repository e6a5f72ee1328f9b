"""Participants in a browser: each is a page in a context of its own, with its own cookies, cache and permissions."""

import asyncio
import contextlib
import time
from typing import Any, TypeAlias

from playwright.async_api import Browser, BrowserContext, Error, Page

from tests.clients.stage_client import token_payload

DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.1
CAMERA = {"width": 640, "height": 480, "frameRate": 20}

Json: TypeAlias = Any
"""What a script returns."""


class Participant:
    """One participant's page. Its connection is the script's `connection`."""

    def __init__(self, context: BrowserContext, page: Page, token: str) -> None:
        self.context = context
        self.page = page
        self.token = token
        self.payload = token_payload(token)

    async def run(self, expression: str, argument: Json = None) -> Json:
        """Evaluate a script in the page and return its result. Raises playwright's Error for what it throws."""
        return await self.page.evaluate(expression, argument)

    async def wait_until(self, condition: str, argument: Json = None) -> None:
        """Wait until a script's result is true; fail with the connection's statistics at the deadline.

        Playwright's own waiting takes the promise of an asynchronous script for a true value.
        """
        deadline_seconds = time.monotonic() + DEADLINE_SECONDS
        while not await self.run(condition, argument):
            if time.monotonic() > deadline_seconds:
                told = await self.run(
                    "async () => [connection.connections, ...(await connection.peer.getStats()).values()]"
                )
                raise AssertionError(f"never true: {condition} ({argument})\n{told}")
            await asyncio.sleep(POLL_SECONDS)

    async def open(self) -> None:
        """Offer, take the answer, and wait until media can flow."""
        await self.run("() => connection.open()")
        await self.wait_connected()

    async def wait_connected(self) -> None:
        """Wait until media can flow."""
        await self.wait_until("() => connection.peer.connectionState === 'connected'")

    async def crash(self) -> None:
        """End the page's process at once, as a crash or a kill does."""
        async with self.page.expect_event("crash"):
            with contextlib.suppress(Error):  # there is nobody left to answer
                await self.page.goto("chrome://crash")

    async def close(self) -> None:
        """Leave by DELETE."""
        await self.run("() => connection.close()")

    async def stats(self, type_: str, **members: Json) -> dict[str, Json]:
        """Return the connection's statistics of a type with these members; {} if there are none (yet)."""
        found: dict[str, Json] | None = await self.run(
            "([type, members]) => connection.stats(type, members)", [type_, members]
        )
        return found or {}

    async def wait_for_stat(self, type_: str, members: dict[str, Json], name: str, *, above: float) -> None:
        """Wait until one number of the connection's statistics is above a bound."""
        await self.wait_until(
            "async ([type, members, name, bound]) => (await connection.stats(type, members))?.[name] > bound",
            [type_, members, name, above],
        )

    async def watch_events(self) -> None:
        """Open the events websocket."""
        url = f"{self.payload['events_url']}/{self.payload['topic']}"
        await self.run("([url, token]) => { window.events = new StageEvents(url, token); }", [url, self.token])

    async def wait_for_stage_state(self, expected: dict[str, bool]) -> None:
        """Wait until the events websocket shows exactly these participants, by id whether they publish."""
        await self.wait_until(
            """(expected) => {
                const shown = events.participants.map(({ id, isPublishing }) => [id, isPublishing]);
                return JSON.stringify(shown.sort()) === JSON.stringify(expected);
            }""",
            sorted([participant_id, publishing] for participant_id, publishing in expected.items()),
        )


class BrowserPublisher(Participant):
    """A page that publishes the fake camera and microphone."""

    async def prepare(
        self,
        *,
        camera: Json = CAMERA,
        microphone: bool = True,
        sections: list[tuple[str, str]] | None = None,
        codec: str | None = None,
        layers: list[dict[str, Json]] | None = None,
    ) -> None:
        """Make the peer connection; see `Publisher.prepare` of the page."""
        options = {"camera": camera, "microphone": microphone, "sections": sections or [], "layers": layers or []}
        await self.run(
            """async ([url, token, options]) => {
                window.connection = new Publisher(url, token);
                await connection.prepare(options);
            }""",
            [self.payload["whip_url"], self.token, {**options, "codec": codec}],
        )

    async def publish(self, **options: Json) -> None:
        """Publish, and wait until media can flow."""
        await self.prepare(**options)
        await self.open()

    async def set_layer_active(self, rid: str, *, active: bool) -> None:
        """Switch a simulcast layer on or off."""
        await self.run("([rid, active]) => connection.setLayerActive(rid, active)", [rid, active])

    async def frames_sent(self) -> int:
        """Return how many pictures were sent so far."""
        return int((await self.stats("outbound-rtp", kind="video")).get("framesSent", 0))


class BrowserViewer(Participant):
    """A page that watches one publisher."""

    async def prepare(self, publisher_id: str, *, kinds: tuple[str, ...] = ("audio", "video")) -> None:
        """Make the peer connection and the screen."""
        await self.run(
            """([url, token, kinds]) => {
                window.connection = new Viewer(url, token, kinds);
                window.picture = new Screen(document.getElementById("screen"), connection.stream);
            }""",
            [f"{self.payload['whip_url']}/subscribe/{publisher_id}", self.token, list(kinds)],
        )

    async def subscribe(self, publisher_id: str, *, kinds: tuple[str, ...] = ("audio", "video")) -> None:
        """Watch a publisher, and wait until media can flow."""
        await self.prepare(publisher_id, kinds=kinds)
        await self.open()

    async def wait_for_moving_pictures(self, *, size: tuple[int, int] | None = None, count: int = 10) -> None:
        """Wait for so many more different pictures, decoded and shown, in this size if it is given."""
        decoded = await self.frames_decoded()
        await self.run("() => picture.blink()")
        await self.wait_until(
            "([size, count]) => picture.pictures.size >= count && (!size || `${picture.size}` === `${size}`)",
            [size, count],
        )
        await self.wait_for_stat("inbound-rtp", {"kind": "video"}, "framesDecoded", above=decoded + count - 1)

    async def wait_for_sound(self) -> None:
        """Wait until more sound was heard than by now."""
        energy = (await self.stats("inbound-rtp", kind="audio")).get("totalAudioEnergy", 0)
        await self.wait_for_stat("inbound-rtp", {"kind": "audio"}, "totalAudioEnergy", above=energy)

    async def frames_decoded(self) -> int:
        """Return how many pictures were decoded so far."""
        return int((await self.stats("inbound-rtp", kind="video")).get("framesDecoded", 0))


class Participants:
    """Opens pages and closes them. A page whose script throws unheard fails the test."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser = browser
        self._address = address
        self._contexts: list[BrowserContext] = []
        self._errors: list[str] = []

    async def publisher(self, token: str) -> BrowserPublisher:
        """Open a publisher's page."""
        return BrowserPublisher(*await self._open(), token)

    async def viewer(self, token: str) -> BrowserViewer:
        """Open a viewer's page."""
        return BrowserViewer(*await self._open(), token)

    async def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            await context.close()
        assert self._errors == []

    async def _open(self) -> tuple[BrowserContext, Page]:
        context = await self._browser.new_context()
        self._contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        await page.goto(self._address)
        return context, page

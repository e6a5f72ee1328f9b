"""Participants in the browser. Each is a page."""

from playwright.async_api import Browser, BrowserContext, Page

from tests.clients.stage_client import token_payload
from tests.e2e.browser.browser_page import BrowserPage, Json, PageOpener

CAMERA = {"width": 640, "height": 480, "frameRate": 20}


class Participant(BrowserPage):
    """One participant's page. The page's script holds the connection as `connection`."""

    diagnosis = "async () => [connection.connections, ...(await connection.peer.getStats()).values()]"

    def __init__(self, context: BrowserContext, page: Page, token: str) -> None:
        super().__init__(context, page)
        self.token = token
        self.payload = token_payload(token)

    async def open(self) -> None:
        """Send the offer, apply the answer, and wait until the connection is connected."""
        await self.run("() => connection.open()")
        await self.wait_connected()

    async def wait_connected(self) -> None:
        """Wait until the connection is connected."""
        await self.wait_until("() => connection.peer.connectionState === 'connected'")

    async def close(self) -> None:
        """Close the connection with DELETE."""
        await self.run("() => connection.close()")

    async def stats(self, type_: str, **members: Json) -> dict[str, Json]:
        """Return the connection's statistics of a type with these members; {} if there are none."""
        found: dict[str, Json] | None = await self.run(
            "([type, members]) => connection.stats(type, members)", [type_, members]
        )
        return found or {}

    async def wait_for_stat(self, type_: str, members: dict[str, Json], name: str, *, above: float) -> None:
        """Wait until one value of the connection's statistics is above a limit."""
        await self.wait_until(
            "async ([type, members, name, bound]) => (await connection.stats(type, members))?.[name] > bound",
            [type_, members, name, above],
        )

    async def watch_events(self) -> None:
        """Open the events websocket."""
        url = f"{self.payload['events_url']}/{self.payload['topic']}"
        await self.run("([url, token]) => { window.events = new StageEvents(url, token); }", [url, self.token])

    async def wait_for_stage_state(self, expected: dict[str, bool]) -> None:
        """Wait until the events websocket reports exactly these participants: by id, whether they publish."""
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
        """Make the peer connection. The options are those of `Publisher.prepare` in stage.js."""
        options = {"camera": camera, "microphone": microphone, "sections": sections or [], "layers": layers or []}
        await self.run(
            """async ([url, token, options]) => {
                window.connection = new Publisher(url, token);
                await connection.prepare(options);
            }""",
            [self.payload["whip_url"], self.token, {**options, "codec": codec}],
        )

    async def publish(self, **options: Json) -> None:
        """Publish, and wait until the connection is connected."""
        await self.prepare(**options)
        await self.open()

    async def set_layer_active(self, rid: str, *, active: bool) -> None:
        """Switch a simulcast layer on or off."""
        await self.run("([rid, active]) => connection.setLayerActive(rid, active)", [rid, active])

    async def frames_sent(self) -> int:
        """Return the number of sent frames."""
        return int((await self.stats("outbound-rtp", kind="video")).get("framesSent", 0))


class BrowserViewer(Participant):
    """A page that watches one publisher."""

    async def prepare(self, publisher_id: str, *, kinds: tuple[str, ...] = ("audio", "video")) -> None:
        """Make the peer connection and the frame observer."""
        await self.run(
            """([url, token, kinds]) => {
                window.connection = new Viewer(url, token, kinds);
                window.observer = new FrameObserver(document.getElementById("video"), connection.stream);
            }""",
            [f"{self.payload['whip_url']}/subscribe/{publisher_id}", self.token, list(kinds)],
        )

    async def subscribe(self, publisher_id: str, *, kinds: tuple[str, ...] = ("audio", "video")) -> None:
        """Subscribe to a publisher, and wait until the connection is connected."""
        await self.prepare(publisher_id, kinds=kinds)
        await self.open()

    async def wait_for_video(self, *, size: tuple[int, int] | None = None, count: int = 10) -> None:
        """Wait until `count` more different frames were decoded and shown, the newest with this (width, height)."""
        decoded = await self.frames_decoded()
        await self.run("() => observer.reset()")
        await self.wait_until(
            "([size, count]) => observer.frames.size >= count && (!size || `${observer.size}` === `${size}`)",
            [size, count],
        )
        await self.wait_for_stat("inbound-rtp", {"kind": "video"}, "framesDecoded", above=decoded + count - 1)

    async def wait_for_layers(self, expected: list[tuple[str, int, int]], *, selected: str) -> None:
        """Wait until these layers are listed, as (encoding id, width, height), and one of them is selected."""
        await self.wait_until(
            """async ([expected, selected]) => {
                const layers = await connection.layers();
                const shown = layers.map(({ encodingId, width, height }) => [encodingId, width, height]);
                const sent = layers.filter((layer) => layer.selected).map(({ encodingId }) => encodingId);
                return JSON.stringify([shown, sent]) === JSON.stringify([expected, [selected]]);
            }""",
            [expected, selected],
        )

    async def select_layer(self, encoding_id: str | None) -> None:
        """Choose a simulcast layer; None returns to the server's choice."""
        await self.run("(encodingId) => connection.selectLayer(encodingId)", encoding_id)

    async def wait_for_audio(self) -> None:
        """Wait until more audio that is not silent was received."""
        energy = (await self.stats("inbound-rtp", kind="audio")).get("totalAudioEnergy", 0)
        await self.wait_for_stat("inbound-rtp", {"kind": "audio"}, "totalAudioEnergy", above=energy)

    async def frames_decoded(self) -> int:
        """Return the number of decoded frames."""
        return int((await self.stats("inbound-rtp", kind="video")).get("framesDecoded", 0))


class Participants(PageOpener):
    """Opens and closes the participants' pages."""

    def __init__(self, browser: Browser, address: str) -> None:
        super().__init__(browser)
        self._address = address

    async def publisher(self, token: str) -> BrowserPublisher:
        """Open a publisher's page."""
        return BrowserPublisher(*await self.open(self._address), token)

    async def viewer(self, token: str) -> BrowserViewer:
        """Open a viewer's page."""
        return BrowserViewer(*await self.open(self._address), token)

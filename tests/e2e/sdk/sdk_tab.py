"""Tabs of the browser with Amazon's Web Broadcast SDK, and the stages that they join with it."""

from enum import StrEnum
from typing import TypeAlias

from playwright.async_api import Browser, BrowserContext, Page

from tests.clients.stage_client import token_payload
from tests.e2e.browser.browser_page import BrowserPage, Json, PageOpener
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_packages import SdkPackage, bundle_name

CAMERA = {"width": 640, "height": 360, "frameRate": 15}
FRAMES = 8


class Seen(StrEnum):
    """Events of a Stage, by the names of the SDK's `StageEvents`."""

    CONNECTION = "stageConnectionStateChanged"
    JOINED = "stageParticipantJoined"
    LEFT = "stageParticipantLeft"
    STREAMS_ADDED = "stageParticipantStreamsAdded"
    STREAMS_REMOVED = "stageParticipantStreamsRemoved"
    MUTE_CHANGED = "stageStreamMuteChanged"
    LAYERS_CHANGED = "stageStreamLayersChanged"
    LAYER_SELECTED = "stageStreamLayerSelected"
    ADAPTION_CHANGED = "stageStreamAdaptionChanged"
    SUBSCRIBE_STATE = "stageParticipantSubscribeStateChanged"
    PUBLISH_STATE = "stageParticipantPublishStateChanged"
    METADATA_CHANGED = "stageParticipantMetadataChanged"
    ERROR = "error"
    STAGE_LEFT = "stageLeft"


Event: TypeAlias = tuple[Json, ...]
"""An event's name and its first details: a participant by its id, a stream by its type, an error by its code."""


class SdkStage:
    """A Stage object in a tab. The page holds its recorder as `stages[name]`."""

    def __init__(self, tab: "SdkTab", name: str, token: str) -> None:
        self.tab = tab
        self.name = name
        self.token = token
        self.participant_id: str = token_payload(token)["jti"]

    async def run(self, body: str, argument: Json = None) -> Json:
        """Evaluate an expression of `recorder` and `argument`. A promise is awaited."""
        return await self.tab.run(_function(body), [self.name, argument])

    async def wait_until(self, condition: str, argument: Json = None) -> None:
        """Wait until an expression of `recorder` and `argument` is true."""
        await self.tab.wait_until(_function(condition), [self.name, argument])

    async def join(self) -> None:
        """Join, and wait until the SDK is connected. Raises playwright's Error if it refuses."""
        await self.run("await recorder.stage.join()")
        await self.expect((Seen.CONNECTION, "connected"))

    async def open_devices(self, camera: Json = CAMERA) -> None:
        """Take the fake camera and the fake microphone."""
        await self.run("await recorder.openDevices(argument)", camera)

    async def publish(self) -> None:
        """Publish the devices, and wait until the SDK has done it."""
        await self.change(publishes=True)
        await self.expect((Seen.PUBLISH_STATE, self.participant_id, "published"))

    async def leave(self) -> None:
        """Leave the stage."""
        await self.run("recorder.stage.leave()")

    async def change(self, **options: Json) -> None:
        """Change members of the strategy."""
        await self.run("recorder.change(argument)", options)

    async def forget(self) -> None:
        """Forget the events so far, so that `expect` waits for later ones."""
        await self.run("recorder.events.splice(0)")

    async def expect(self, *events: Event) -> None:
        """Wait until these events have been recorded in this order, among others."""
        await self.wait_until("recorder.hasRecorded(argument)", [list(event) for event in events])

    async def seen(self, name: Seen) -> list[list[Json]]:
        """Return the details of the recorded events with a name."""
        events = await self.run("recorder.events.filter(([name]) => name === argument)", name)
        return [details for _, *details in events]

    async def info(self, participant_id: str, *members: str) -> list[Json]:
        """Return members of the newest StageParticipantInfo of a remote participant."""
        found = "recorder.participants.get(argument[0]).info"
        values: list[Json] = await self.run(f"argument[1].map((name) => {found}[name])", [participant_id, members])
        return values

    async def expect_video(self, participant_id: str, *, size: tuple[int, int] | None = None) -> None:
        """Wait until FRAMES more frames were decoded, and as many different ones shown, the newest of a size."""
        await self.wait_until("recorder.observer(argument)", participant_id)
        decoded = await self.received(participant_id, "video", "framesDecoded")
        await self.run("recorder.observer(argument).reset()", participant_id)
        await self.wait_until(
            "recorder.observer(argument[0]).frames.size >= argument[2]"
            " && (!argument[1] || `${recorder.observer(argument[0]).size}` === `${argument[1]}`)",
            [participant_id, size, FRAMES],
        )
        await self.expect_received(participant_id, "video", "framesDecoded", above=decoded + FRAMES - 1)

    async def expect_audio(self, participant_id: str) -> None:
        """Wait until more audio that is not silent was received."""
        energy = await self.received(participant_id, "audio", "totalAudioEnergy")
        await self.expect_received(participant_id, "audio", "totalAudioEnergy", above=energy)

    async def expect_media(self, participant_id: str) -> None:
        """Wait for video and audio of a participant."""
        await self.expect_video(participant_id)
        await self.expect_audio(participant_id)

    async def received(self, participant_id: str, kind: str, name: str) -> float:
        """Return a value of the WebRTC statistics of a received stream."""
        return float(await self.run("await recorder.received(...argument)", [participant_id, kind, name]))

    async def expect_received(self, participant_id: str, kind: str, name: str, *, above: float) -> None:
        """Wait until a value of the WebRTC statistics of a received stream is above a limit."""
        await self.wait_until(
            "await recorder.received(...argument[0]) > argument[1]", [[participant_id, kind, name], above]
        )


class SdkTab(BrowserPage):
    """A tab with the SDK, for one user."""

    diagnosis = (
        "() => Object.values(stages).map(({ events, participants }) => [events, [...participants.keys()]]"
        ".map((each) => JSON.stringify(each)).join('\\n')).join('\\n')"
    )

    def __init__(self, context: BrowserContext, page: Page) -> None:
        super().__init__(context, page)
        self.websocket_urls: list[str] = []
        page.on("websocket", lambda websocket: self.websocket_urls.append(websocket.url))

    async def share(self, connection_token: str) -> None:
        """Make a RealTimeConnection, which the stages with `shares=True` use."""
        await self.run(
            "(token) => { sharedConnection = new IVSBroadcastClient.RealTimeConnection(token); }", connection_token
        )

    async def stage(self, token: str, *, name: str = "stage", **options: Json) -> SdkStage:
        """Make a Stage object that has not joined. `options` are those of StageRecorder in the page."""
        await self.run(
            "([name, token, options]) => { stages[name] = new StageRecorder(token, options); }", [name, token, options]
        )
        return SdkStage(self, name, token)

    async def publisher(self, token: str, *, name: str = "stage", camera: Json = CAMERA, **options: Json) -> SdkStage:
        """Make a Stage object that publishes the camera and the microphone when it joins."""
        stage = await self.stage(token, name=name, publishes=True, **options)
        await stage.open_devices(camera)
        return stage


class SdkTabs(PageOpener):
    """Opens and closes the tabs, with one version of the SDK."""

    expected_error = "live-video.net"  # the page forbids telemetry, and old versions let the failure escape

    def __init__(self, browser: Browser, pages_url: str, package: SdkPackage) -> None:
        super().__init__(browser)
        self._address = f"{pages_url}/pages/tab.html?{bundle_name(package)}"
        self.package = package

    async def tab(self) -> SdkTab:
        """Open a tab."""
        return SdkTab(*await self.open(self._address))

    async def publisher(self, token: str, **options: Json) -> SdkStage:
        """Open a tab that joins and publishes."""
        stage = await (await self.tab()).publisher(token, **options)
        await stage.join()
        await stage.expect((Seen.PUBLISH_STATE, stage.participant_id, "published"))
        return stage

    async def viewer(self, token: str, **options: Json) -> SdkStage:
        """Open a tab that joins without publishing."""
        stage = await (await self.tab()).stage(token, **options)
        await stage.join()
        return stage

    async def publisher_and_viewer(self, stage: StageHandle) -> tuple[SdkStage, SdkStage]:
        """Open a tab that publishes, and one that watches it and has received media."""
        publisher = await self.publisher((await stage.token())[1])
        viewer = await self.viewer((await stage.token())[1])
        await viewer.expect_media(publisher.participant_id)
        return publisher, viewer


def _function(body: str) -> str:
    return f"async ([name, argument]) => {{ const recorder = stages[name]; return ({body}); }}"

"""A composition follows its stage: joins, leaves, attributes and stopped video, within 500 ms and frame by frame."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.backend import Backend
from tests.clients.color_publisher import ColorPublisher
from tests.clients.events_client import EventsClient, connect_events_client
from tests.clients.publisher import Publisher
from tests.e2e.recording.composed_colors import COLORS, loud_times, shown_colors
from tests.e2e.server import RunningServer, start_server

pytestmark = pytest.mark.recording

WAIT_SECONDS = 60
SETTLE_SECONDS = 1.5
MAXIMUM_DELAY_SECONDS = 0.5
"""Of all changes but one: the machine that runs the publishers, the composition and the test can pause."""
MUTES = 3
CANVAS = {"width": 320, "height": 180, "framerate": 30, "bitrate": 800_000}
AGAIN = " again"
GRID = {"participantOrderAttribute": "order", "gridGap": 0}


class ColorfulStage:
    """A stage with publishers of one color, and its composition in a folder."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.ivs = server.client()
        self.backend = Backend(self.ivs)
        self.arn = self.ivs.create_stage(name="colors")["stage"]["arn"]
        self.composition_arn = ""
        self.acts: dict[str, float] = {}
        """When something was done, in seconds since the epoch, by what is shown then."""

    def token(self, name: str, **attributes: str) -> str:
        """Return a token of a participant with these attributes."""
        return self.backend.token(self.arn, name, "PUBLISH", "SUBSCRIBE", attributes=attributes)

    def compose(self) -> None:
        """Start the composition."""
        bucket = self.ivs.create_storage_configuration(s3={"bucketName": "my-bucket"})["storageConfiguration"]
        encoder = self.ivs.create_encoder_configuration(video=CANVAS)["encoderConfiguration"]
        s3 = {"storageConfigurationArn": bucket["arn"], "encoderConfigurationArns": [encoder["arn"]]}
        started = self.ivs.start_composition(stageArn=self.arn, destinations=[{"s3": s3}], layout={"grid": GRID})
        self.composition_arn = started["composition"]["arn"]

    async def until_state(self, state: str) -> None:
        """Wait until the composition has a state."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found: Any = await asyncio.to_thread(self.ivs.get_composition, arn=self.composition_arn)
                if found["composition"]["state"] == state:
                    return
                await asyncio.sleep(0.2)

    async def settle(self, shown: str) -> None:
        """Note that `shown` is to be seen from now on, and let the composition go on."""
        self.acts[shown] = time.time()
        await asyncio.sleep(SETTLE_SECONDS)

    @property
    def playlist(self) -> Path:
        """The media playlist of the stored composition."""
        return next((self.server.data / "recordings").rglob("media/hls/*/playlist.m3u8"))


@pytest.fixture(name="stage")
async def stage_fixture(tmp_path: Path) -> AsyncIterator[ColorfulStage]:
    server = await asyncio.to_thread(start_server, tmp_path / "data", media_processes="1")
    yield ColorfulStage(server)
    assert await asyncio.to_thread(server.stop) == 0


async def set_state(events: EventsClient, *, audio_muted: bool = False, video_stopped: bool = False) -> None:
    """Say on the events websocket what is muted and stopped."""
    state = {"audioMuted": audio_muted, "videoStopped": video_stopped}
    await events.socket.send(json.dumps({"type": "SET_STATE", **state}))


async def test_a_composition_follows_its_stage(stage: ColorfulStage) -> None:
    red_token, green_token = stage.token("red", order="2"), stage.token("green", order="1")
    red, green = ColorPublisher(red_token, COLORS["red"]), ColorPublisher(green_token, COLORS["green"])
    async with connect_events_client(red_token) as red_events, connect_events_client(green_token) as green_events:
        await red.start()
        stage.compose()
        await stage.until_state("ACTIVE")
        await stage.settle("red")
        await green.start()
        await stage.settle("green red")
        exchanged = stage.token("green", order="3")
        await green_events.socket.send(json.dumps({"type": "EXCHANGE_TOKEN", "token": exchanged}))
        await stage.settle("red green")
        await set_state(red_events, video_stopped=True)
        await stage.settle("grey green")
        await set_state(red_events)
        await stage.settle("red green" + AGAIN)
        await red.stop()
        await stage.settle("green")
        stage.ivs.stop_composition(arn=stage.composition_arn)
        await stage.until_state("STOPPED")
        await green.stop()
    shown = shown_colors(stage.playlist)
    # A tile is plain until its first picture is decoded; the canvas is black until the composition knows who publishes.
    assert [one.colors for one in shown if one.colors not in ("black", "grey", "grey red")] == [
        "red",
        "green red",
        "red green",
        "grey green",
        "red green",
        "green",
    ]
    delays = [
        next(one.time for one in shown if one.colors == colors.removesuffix(AGAIN) and one.time >= acted) - acted
        for colors, acted in list(stage.acts.items())[1:]
    ]
    assert sorted(delays)[-2] <= MAXIMUM_DELAY_SECONDS, delays


async def test_a_muted_participant_is_silent(stage: ColorfulStage) -> None:
    token = stage.token("speaker")
    publisher = Publisher(token)
    async with connect_events_client(token) as events:
        await publisher.start()
        stage.compose()
        await stage.until_state("ACTIVE")
        await stage.settle("sound")
        for number in range(MUTES):
            await set_state(events, audio_muted=True)
            await stage.settle(f"silence {number}")
            await set_state(events)
            await stage.settle(f"sound {number}")
        stage.ivs.stop_composition(arn=stage.composition_arn)
        await stage.until_state("STOPPED")
        await publisher.stop()
    heard = loud_times(stage.playlist)
    mutes = [(stage.acts[f"silence {number}"], stage.acts[f"sound {number}"]) for number in range(MUTES)]
    assert min(heard) < mutes[0][0]
    silenced = [
        max((moment - muted for moment in heard if muted < moment < unmuted), default=0.0) for muted, unmuted in mutes
    ]
    heard_again = [
        min((moment - unmuted for moment in heard if moment > unmuted), default=SETTLE_SECONDS) for _, unmuted in mutes
    ]
    assert sorted(silenced)[-2] <= MAXIMUM_DELAY_SECONDS, silenced
    assert sorted(heard_again)[-2] <= MAXIMUM_DELAY_SECONDS, heard_again

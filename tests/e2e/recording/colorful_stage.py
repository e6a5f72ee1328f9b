"""A stage whose publishers have one color each, and its composition in a folder, for tests."""

import asyncio
import json
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.clients.backend import Backend
from tests.clients.events_client import EventsClient
from tests.e2e.recording.composed_colors import Shown
from tests.e2e.server import RunningServer

WAIT_SECONDS: Final = 60
SETTLE_SECONDS: Final = 1.5
MAXIMUM_DELAY_SECONDS: Final = 0.5
CANVAS: Final = {"width": 320, "height": 180, "framerate": 30, "bitrate": 800_000}
AGAIN: Final = " again"
"""Ends the names of what was shown before."""


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

    async def exchange(self, events: EventsClient, name: str, **attributes: str) -> None:
        """Exchange the token of a participant for one with these attributes."""
        token = self.token(name, **attributes)
        await events.socket.send(json.dumps({"type": "EXCHANGE_TOKEN", "token": token}))

    def token(self, name: str, **attributes: str) -> str:
        """Return a token of a participant with these attributes."""
        return self.backend.token(self.arn, name, "PUBLISH", "SUBSCRIBE", attributes=attributes)

    def compose(self, layout: dict[str, Any]) -> None:
        """Start the composition with a layout."""
        bucket = self.ivs.create_storage_configuration(s3={"bucketName": "my-bucket"})["storageConfiguration"]
        encoder = self.ivs.create_encoder_configuration(video=CANVAS)["encoderConfiguration"]
        s3 = {"storageConfigurationArn": bucket["arn"], "encoderConfigurationArns": [encoder["arn"]]}
        started = self.ivs.start_composition(stageArn=self.arn, destinations=[{"s3": s3}], layout=layout)
        self.composition_arn = started["composition"]["arn"]

    async def until_state(self, state: str) -> None:
        """Wait until the composition has a state."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found: Any = await asyncio.to_thread(self.ivs.get_composition, arn=self.composition_arn)
                if found["composition"]["state"] == state:
                    return
                await asyncio.sleep(0.2)

    async def act(self, shown: str, action: Awaitable[None] | None = None) -> None:
        """Note that `shown` is to be seen from now on, do something for it, and let the composition go on."""
        self.acts[shown] = time.time()
        if action is not None:
            await action
        await asyncio.sleep(SETTLE_SECONDS)

    async def stop(self) -> None:
        """Stop the composition, and wait until all of it is stored."""
        self.ivs.stop_composition(arn=self.composition_arn)
        await self.until_state("STOPPED")

    def delays(self, shown: Sequence[Shown]) -> dict[str, float]:
        """Return how long each thing that was done, but for the first, took to be seen."""
        return {
            colors: next(one.time for one in shown if one.colors == colors.removesuffix(AGAIN) and one.time >= acted)
            - acted
            for colors, acted in list(self.acts.items())[1:]
        }

    @property
    def playlist(self) -> Path:
        """The media playlist of the stored composition."""
        return next((self.server.data / "recordings").rglob("media/hls/*/playlist.m3u8"))


async def set_state(events: EventsClient, *, audio_muted: bool = False, video_stopped: bool = False) -> None:
    """Say on the events websocket what is muted and stopped."""
    state = {"audioMuted": audio_muted, "videoStopped": video_stopped}
    await events.socket.send(json.dumps({"type": "SET_STATE", **state}))

"""Recordings of two redundant encoders: each has the pictures of its own one, whichever viewers see."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.clients.encoder import Encoder
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.e2e.recording.composed_colors import shown_colors
from tests.e2e.recording.recorded_stage import RecordedStage, objects_below, segments_of
from tests.media.recording.hls_rules import check_recording

pytestmark = [pytest.mark.recording, pytest.mark.timeout(600)]

COLORS = {"red": "red", "green": "lime"}
"""The names of ffmpeg, by those of `composed_colors`."""


class RedundantStage(RecordedStage):
    """A stage that records, with an ingest configuration for two encoders."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        configuration = self.ivs.create_ingest_configuration(
            stageArn=self.stage_arn, ingestProtocol="RTMP", insecureIngest=True, redundantIngest=True
        )["ingestConfiguration"]
        self.credentials = dict(zip(COLORS, configuration["redundantIngestCredentials"], strict=True))
        self._url = self.ivs.get_stage(arn=self.stage_arn)["stage"]["endpoints"]["rtmp"]

    async def show(self, color: str) -> Encoder:
        """Let the encoder of a color publish, and return once it is recorded."""
        source = f"-re -f lavfi -i color={COLORS[color]}:size=640x360:rate=30 -f lavfi -i sine=frequency=440"
        key = self.credentials[color]["streamKey"]
        encoder = await Encoder.start(PUBLISH, variables={**VARIABLES, "INPUT": source, "URL": self._url, "KEY": key})
        await self.until_state(color, "ACTIVE")
        return encoder

    async def until_state(self, color: str, state: str) -> None:
        """Wait for the state of the recording of an encoder."""
        await self.until(lambda: self._participant(color).get("recordingState") == state)

    def _participant(self, color: str) -> dict[str, Any]:
        wanted = self.credentials[color]["participantId"]
        return next((each for each in self.participants() if each["participantId"] == wanted), {})

    def recording(self, color: str) -> Path:
        """Return the folder of the recording of an encoder."""
        return self.stored_folder / str(self._participant(color)["recordingS3Prefix"])


async def test_each_of_two_redundant_encoders_is_recorded_by_itself(tmp_path: Path) -> None:
    stage = await asyncio.to_thread(RedundantStage, tmp_path)
    try:
        red = await stage.show("red")
        green = await stage.show("green")
        folders = {color: stage.recording(color) for color in COLORS}
        await stage.until(lambda: all(segments_of(folder) >= 2 for folder in folders.values()))
        await red.kill()
        await stage.until_state("red", "STOPPED")
        before = segments_of(folders["green"])
        await stage.until(lambda: segments_of(folders["green"]) >= before + 2)
        await stage.until_state("green", "ACTIVE")
        await green.stop()
        await stage.until_state("green", "STOPPED")
    finally:
        await asyncio.to_thread(stage.server.stop)
    for color, folder in folders.items():
        recording = check_recording(objects_below(folder))
        assert not any(segment.is_discontinuity for segment in recording.segments)
        assert [one.colors for one in shown_colors(folder / "media" / "hls" / "high" / "playlist.m3u8")] == [color]

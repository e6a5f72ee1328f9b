"""The recording of a publisher of simulcast whose line loses packets, by a whole server, and played by Chromium."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.async_api import Browser

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.recording.hls_js import HlsJsUnavailableError
from tests.e2e.recording.played_recording import play_recording
from tests.e2e.recording.recorded_stage import objects_below, segments_of
from tests.e2e.server import RunningServer
from tests.media.recording.hls_rules import check_recording
from tests.network.emulator.link_conditions import LinkConditions
from tests.network.peers.network_participants import PICTURE
from tests.network.scenarios.scene import LAYERS, Figures, Scene

pytestmark = [pytest.mark.network, pytest.mark.asyncio(loop_scope="session")]

LOSSY = LinkConditions(delay_seconds=0.02, loss=0.05)
BUCKET = "lossy"
RECORDED_SEGMENTS = 4
DEADLINE_SECONDS = 60.0
DUPLICATED_INIT = "Found duplicated MOOV Atom. Skipped it"


async def record(stage: StageHandle) -> None:
    """Record the publishers of a stage, in segments of 2 s."""
    storage = await asyncio.to_thread(stage.ivs.create_storage_configuration, s3={"bucketName": BUCKET})
    configuration = {
        "storageConfigurationArn": storage["storageConfiguration"]["arn"],
        "hlsConfiguration": {"targetSegmentDurationSeconds": 2},
    }
    await asyncio.to_thread(stage.ivs.update_stage, arn=stage.arn, autoParticipantRecordingConfiguration=configuration)


async def recorded_participant(stage: StageHandle, state: str) -> dict[str, Any]:
    """Return the one participant once its recording has a state."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            scope = {"sessionId": await stage.session_id()}
            (listed,) = (await stage.call("list_participants", **scope))["participants"]
            found = await stage.call("get_participant", **scope, participantId=listed["participantId"])
            if found["participant"].get("recordingState") == state:
                return dict(found["participant"])
            await asyncio.sleep(0.1)


def decode(playlist: Path) -> list[tuple[int, int]]:
    """Return the sizes of all pictures. A picture that refers to one that is missing, or is damaged, is an error."""
    with av.open(str(playlist), options={"allowed_extensions": "ALL"}) as player:
        video = player.streams.video[0]
        video.codec_context.thread_type = "NONE"
        video.codec_context.options = {"err_detect": "explode"}
        pictures = list(player.decode(video))
    assert not any(picture.is_corrupt for picture in pictures)
    return [(picture.width, picture.height) for picture in pictures]


async def test_the_top_layer_of_a_lossy_line_is_recorded_and_played(
    scene: Scene, stage: StageHandle, server: RunningServer, browser: Browser, tmp_path: Path, figures: Figures
) -> None:
    await record(stage)
    publisher = await scene.publish(codec="H264", encodings=LAYERS, to_server=LOSSY, to_peer=LOSSY)
    found = await recorded_participant(stage, "ACTIVE")
    folder = server.data / "recordings" / BUCKET / found["recordingS3Prefix"]
    before = segments_of(folder)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while segments_of(folder) < before + RECORDED_SEGMENTS:  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(0.1)
    await publisher.close()
    await recorded_participant(stage, "STOPPED")
    recording = check_recording(objects_below(folder))
    sizes = await asyncio.to_thread(decode, folder / "media/hls/high/playlist.m3u8")
    # The top layer may start a little later than the others.
    top = (int(PICTURE["width"]), int(PICTURE["height"]))
    changes = sum(segment.is_discontinuity for segment in recording.segments)
    figures(pictures=len(sizes), top=sizes.count(top), discontinuities=changes, seconds=recording.duration_seconds)
    assert set(sizes[-len(sizes) // 2 :]) == {top}
    playlist = str(folder / "media/hls/multivariant.m3u8")
    # Without -autoscale 0, ffmpeg scales what comes before the top layer, and its scaler warns of the pixel format.
    options = ["-enc_time_base", "-1", "-autoscale", "0"]
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", playlist, *options, "-f", "null", "-"]
    result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    assert {line.partition("] ")[2] for line in result.stderr.splitlines()} <= {DUPLICATED_INIT}
    try:
        played = await play_recording(browser, folder, tmp_path)
    except HlsJsUnavailableError as error:
        pytest.skip(str(error))
    assert played.errors == []
    assert played.ended, played
    assert played.time == pytest.approx(recording.duration_seconds, abs=0.1)

"""Recordings of publishers that return, that change their picture, and that send VP8, by a real server."""

from pathlib import Path

import msgspec
import pytest

from tests.clients.encoder import Encoder
from tests.clients.publisher import Publisher
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.e2e.recording.recorded_stage import RecordedStage, objects_below, segments_of
from tests.e2e.recording.vp8_publisher import Vp8Publisher
from tests.media.recording.hls_rules import check_recording

pytestmark = pytest.mark.recording


def configure_window(stage: RecordedStage, seconds: int) -> None:
    """Merge what a participant publishes within a window."""
    found = stage.ivs.get_stage(arn=stage.stage_arn)["stage"]["autoParticipantRecordingConfiguration"]
    found |= {"recordingReconnectWindowSeconds": seconds}
    stage.ivs.update_stage(arn=stage.stage_arn, autoParticipantRecordingConfiguration=found)


async def test_an_encoder_that_returns_with_another_size_continues_its_recording(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    try:
        configure_window(stage, 60)
        created = stage.ivs.create_ingest_configuration(
            stageArn=stage.stage_arn, ingestProtocol="RTMPS", insecureIngest=True
        )
        url = stage.ivs.get_stage(arn=stage.stage_arn)["stage"]["endpoints"]["rtmps"]
        folder, stored = tmp_path, 0
        for size in ("320x180", "480x270"):
            inputs = VARIABLES["INPUT"].replace("640x360", size)
            key = created["ingestConfiguration"]["streamKey"]
            encoder = await Encoder.start(PUBLISH, variables={**VARIABLES, "INPUT": inputs, "URL": url, "KEY": key})
            (found,) = await stage.until_states("ACTIVE")
            folder = stage.stored_folder / found["recordingS3Prefix"]
            enough = stored + 3
            await stage.until(lambda folder=folder, enough=enough: segments_of(folder) >= enough)  # type: ignore[misc]
            await encoder.kill()
            await stage.until(lambda: stage.participants()[0]["state"] == "DISCONNECTED")
            stored = segments_of(folder)
    finally:
        assert stage.server.stop() == 0
    objects = objects_below(folder)
    check_recording(objects)
    playlist = objects["media/hls/high/playlist.m3u8"].decode()
    assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
    assert playlist.count("#EXT-X-MAP:") == 2
    assert len(list(stage.stored_folder.rglob("multivariant.m3u8"))) == 1


async def test_vp8_is_told_as_a_failure_and_sound_alone_is_recorded(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path)
    try:
        tokens = [
            stage.ivs.create_participant_token(stageArn=stage.stage_arn, userId=name, capabilities=["PUBLISH"])
            for name in ("vp8", "sound")
        ]
        vp8 = Vp8Publisher(tokens[0]["participantToken"]["token"])
        sound = Publisher(tokens[1]["participantToken"]["token"], video=None)
        await vp8.start()
        await sound.start()
        found = {each["userId"]: each for each in await stage.until_states("FAILED", "ACTIVE")}
        assert found["vp8"]["published"]
        folders = {name: stage.stored_folder / each["recordingS3Prefix"] for name, each in found.items()}
        await stage.until(lambda: segments_of(folders["sound"]) >= 2)
        await vp8.stop()
        await sound.stop()
    finally:
        assert stage.server.stop() == 0
    objects = objects_below(folders["vp8"])
    assert list(objects) == ["events/recording-failed.json"]
    metadata = msgspec.json.decode(objects["events/recording-failed.json"])
    assert metadata["recording_status"] == "RECORDING_START_FAILED"
    assert metadata["recording_status_message"] == "Video codec not supported for recording"
    check_recording(objects_below(folders["sound"]))

"""Recordings of real publishers: into a folder and to a real S3 server, with kills and a store that is down."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.clients.encoder import Encoder
from tests.e2e.recording.recorded_stage import BUCKET, RecordedStage, objects_below, segments_of
from tests.e2e.recording.recorded_time import MAXIMUM_LOSS_SECONDS, recorded_until
from tests.media.recording.hls_rules import check_recording
from tests.storage.s3_server import REGION, ROOT_KEY, ROOT_SECRET, S3Server, running_s3_server

pytestmark = [pytest.mark.recording, pytest.mark.timeout(600)]


@contextlib.asynccontextmanager
async def recorded_stage(
    folder: Path, *, settings: str = "", bucket_name: str = BUCKET
) -> AsyncIterator[RecordedStage]:
    """Run a server that records."""
    stage = await asyncio.to_thread(RecordedStage, folder, settings=settings, bucket_name=bucket_name)
    try:
        yield stage
    finally:
        await asyncio.to_thread(stage.server.stop)


def s3_settings(server: S3Server) -> str:
    """Return the settings for a server."""
    return (
        f'storage = "s3"\nstorage_s3_endpoint = "{server.endpoint_url}"\nstorage_s3_region = "{REGION}"\n'
        f'storage_s3_access_key_id = "{ROOT_KEY}"\nstorage_s3_secret_access_key = "{ROOT_SECRET}"\n'
    )


def status_of(folder: Path, name: str) -> object:
    """Return the status in a metadata object."""
    return msgspec.json.decode((folder / "events" / f"{name}.json").read_bytes())["recording_status"]


async def test_publishers_of_both_kinds_are_recorded(tmp_path: Path) -> None:
    async with recorded_stage(tmp_path) as stage:
        publisher, encoder = await stage.publish(), await stage.encode()
        found = await stage.until_states("ACTIVE", "ACTIVE")
        folders = [stage.stored_folder / each["recordingS3Prefix"] for each in found]
        assert {each["recordingS3BucketName"] for each in found} == {BUCKET}
        await stage.until(lambda: all(segments_of(folder) >= 3 for folder in folders))
        await publisher.stop()
        await encoder.stop()
        await stage.until_states("STOPPED", "STOPPED")
    for folder in folders:
        recording = check_recording(objects_below(folder))
        assert recording.duration_seconds > 4
        assert status_of(folder, "recording-ended") == "RECORDING_ENDED"
        playlist = str(folder / "media" / "hls" / "multivariant.m3u8")
        player = await Encoder.start(
            'ffmpeg -v warning -i "$FILE" -enc_time_base -1 -f null -', variables={"FILE": playlist}
        )
        assert await player.wait_until_ended() == ""


async def test_recordings_survive_an_s3_server_that_is_down_for_a_while(tmp_path: Path) -> None:
    with running_s3_server(tmp_path / "s3") as s3:
        bucket = s3.make_bucket(BUCKET)
        async with recorded_stage(tmp_path / "server", settings=s3_settings(s3)) as stage:
            publisher = await stage.publish()
            (found,) = await stage.until_states("ACTIVE")
            folder = bucket / found["recordingS3Prefix"]
            await stage.until(lambda: segments_of(folder) >= 1)
            s3.stop()
            spool = tmp_path / "server" / "data" / "recordings" / "_spool"
            await stage.until(lambda: sum(path.name.isdecimal() for path in spool.rglob("*")) >= 3)
            await asyncio.to_thread(s3.start)
            await publisher.stop()
            await stage.until_states("STOPPED")
            check_recording(objects_below(folder))
            await stage.until(lambda: not any(spool.iterdir()))


async def test_a_missing_bucket_fails_the_recording_and_not_the_publication(tmp_path: Path) -> None:
    with running_s3_server(tmp_path / "s3") as s3:
        async with recorded_stage(tmp_path / "server", settings=s3_settings(s3), bucket_name="missing-bucket") as stage:
            publisher = await stage.publish()
            (found,) = await stage.until_states("FAILED")
            assert found["published"]
            assert found["state"] == "CONNECTED"
            await publisher.stop()


async def test_the_recorder_is_killed_and_the_recording_is_completed(tmp_path: Path) -> None:
    async with recorded_stage(tmp_path) as stage:
        publisher = await stage.publish()
        (found,) = await stage.until_states("ACTIVE")
        folder = stage.stored_folder / found["recordingS3Prefix"]
        await stage.until(lambda: segments_of(folder) >= 2)
        stage.kill_recorder()
        killed = time.time()
        await stage.until_states("FAILED")
        await stage.until(lambda: (folder / "events" / "recording-failed.json").exists())
        check_recording(objects_below(folder))
        assert status_of(folder, "recording-failed") == "RECORDING_ENDED_WITH_FAILURE"
        assert killed - recorded_until(folder) < MAXIMUM_LOSS_SECONDS
        # The next publication is recorded by the next process.
        other = await stage.publish()
        await stage.until_states("FAILED", "ACTIVE")
        await publisher.stop()
        await other.stop()
        await stage.until_states("FAILED", "STOPPED")


async def test_the_server_is_killed_and_the_next_one_completes_the_recording(tmp_path: Path) -> None:
    async with recorded_stage(tmp_path) as stage:
        publisher = await stage.publish()
        (found,) = await stage.until_states("ACTIVE")
        folder = stage.stored_folder / found["recordingS3Prefix"]
        await stage.until(lambda: segments_of(folder) >= 2)
        await asyncio.to_thread(stage.server.kill)
        killed = time.time()
        await publisher.stop()
        await asyncio.to_thread(stage.restart)
        await stage.until_states("FAILED")
        await stage.until(lambda: (folder / "events" / "recording-failed.json").exists())
        check_recording(objects_below(folder))
        assert status_of(folder, "recording-failed") == "RECORDING_ENDED_WITH_FAILURE"
        assert killed - recorded_until(folder) < MAXIMUM_LOSS_SECONDS


async def test_a_server_that_is_stopped_completes_its_recordings(tmp_path: Path) -> None:
    async with recorded_stage(tmp_path) as stage:
        publisher = await stage.publish()
        (found,) = await stage.until_states("ACTIVE")
        folder = stage.stored_folder / found["recordingS3Prefix"]
        await stage.until(lambda: segments_of(folder) >= 2)
        assert await asyncio.to_thread(stage.server.stop) == 0
        await publisher.stop()
        check_recording(objects_below(folder))
        assert status_of(folder, "recording-ended") == "RECORDING_ENDED"
        await asyncio.to_thread(stage.restart)
        await stage.until_states("STOPPED")

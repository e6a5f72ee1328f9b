"""Compositions of real publishers by a real server: to a bucket, to an ffmpeg listener and to Stagebook's own ingest.

What is checked does not depend on the speed of the machine: states, the rules of HLS, what decodes.
"""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import pytest

from tests.clients.encoder import Encoder
from tests.clients.publisher import Publisher
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.e2e.recording.recorded_stage import objects_below, segments_of
from tests.e2e.recording.recorded_time import MAXIMUM_LOSS_SECONDS, recorded_until
from tests.e2e.server import RunningServer, start_server
from tests.media.recording.hls_rules import check_recording

pytestmark = pytest.mark.recording

WAIT_SECONDS = 60
FFMPEG_CHANNEL = "arn:aws:ivs:us-west-2:123456789012:channel/ffmpegListen"
INGEST_CHANNEL = "arn:aws:ivs:us-west-2:123456789012:channel/stagebookStage"
CANVAS = {"width": 320, "height": 180, "framerate": 15, "bitrate": 400_000}
LISTEN = "ffmpeg -v warning -listen 1 -i $URL -c copy -f flv -y $FILE"
LISTENER_ADDRESS = "127.0.0.2"
"""ffmpeg listens when a test wants it to. Until then, no server of another test takes its port: they use 127.0.0.1."""


def free_port(address: str) -> int:
    """Return a TCP port of an address that is free now."""
    with socket.create_server((address, 0)) as bound:
        return int(bound.getsockname()[1])


class ComposedServer:
    """A server with two channels, a stage with publishers, and a stage that a channel is published to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listen_url = f"rtmp://{LISTENER_ADDRESS}:{free_port(LISTENER_ADDRESS)}/app/listener-key"
        self.listeners: list[Encoder] = []
        self.publishers: list[Publisher | Encoder] = []
        rtmp_listen = f"127.0.0.1:{free_port('127.0.0.1')}"
        # The stream key of the other stage is made by a first run, because channels are in the settings.
        first_run = start_server(folder / "data", rtmp_listen=rtmp_listen)
        ivs = first_run.client()
        self.viewed_arn = ivs.create_stage(name="viewed")["stage"]["arn"]
        ingest = ivs.create_ingest_configuration(stageArn=self.viewed_arn, ingestProtocol="RTMP", insecureIngest=True)[
            "ingestConfiguration"
        ]
        first_run.stop()
        settings = folder / "stagebook.toml"
        own = f"rtmp://{rtmp_listen}/app/{ingest['streamKey']}"
        settings.write_text(f'[channels]\n"{FFMPEG_CHANNEL}" = "{self.listen_url}"\n"{INGEST_CHANNEL}" = "{own}"\n')
        self.server: RunningServer = start_server(folder / "data", config=settings, rtmp_listen=rtmp_listen)
        self.ivs = self.server.client()
        self.stage_arn = self.ivs.create_stage(name="composed")["stage"]["arn"]
        self.bucket_arn = self.ivs.create_storage_configuration(s3={"bucketName": "my-bucket"})["storageConfiguration"][
            "arn"
        ]
        self.encoder_arn = self.ivs.create_encoder_configuration(video=CANVAS)["encoderConfiguration"]["arn"]
        self.rtmp_url = f"rtmp://{rtmp_listen}/app/"

    async def publish(self) -> None:
        """Let a WebRTC publisher and an RTMP encoder publish."""
        token = self.ivs.create_participant_token(stageArn=self.stage_arn, userId="ann", capabilities=["PUBLISH"])
        publisher = Publisher(token["participantToken"]["token"])
        await publisher.start()
        ingest = self.ivs.create_ingest_configuration(
            stageArn=self.stage_arn, ingestProtocol="RTMP", insecureIngest=True
        )["ingestConfiguration"]
        variables = {**VARIABLES, "URL": self.rtmp_url, "KEY": ingest["streamKey"]}
        self.publishers = [publisher, await Encoder.start(PUBLISH, variables=variables)]

    def compose(self, *channel_arns: str, stores: bool = True) -> str:
        """Start a composition and return its ARN."""
        destinations: list[dict[str, Any]] = [
            {"channel": {"channelArn": arn, "encoderConfigurationArn": self.encoder_arn}} for arn in channel_arns
        ]
        if stores:
            s3 = {
                "storageConfigurationArn": self.bucket_arn,
                "encoderConfigurationArns": [self.encoder_arn],
                "recordingConfiguration": {"hlsConfiguration": {"targetSegmentDurationSeconds": 2}},
            }
            destinations.append({"s3": s3})
        started = self.ivs.start_composition(stageArn=self.stage_arn, destinations=destinations)
        return str(started["composition"]["arn"])

    async def until(self, arn: str, condition: Callable[[str, list[str]], bool]) -> None:
        """Wait until the states of a composition and of its destinations meet a condition.

        Raises AssertionError after WAIT_SECONDS, with all states, the log of the server and what the listeners wrote.
        """
        seen: list[tuple[str, list[str]]] = []
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    found = (await asyncio.to_thread(self.ivs.get_composition, arn=arn))["composition"]
                    states = (found["state"], [each["state"] for each in found["destinations"]])
                    seen += [] if states in seen[-1:] else [states]
                    if condition(*states):
                        return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            errors = [each.errors for each in self.listeners]
            raise AssertionError(f"{seen}\nlisteners: {errors}\n{self.server.log}") from None

    async def listener(self, name: str) -> Encoder:
        """Let ffmpeg listen for one stream, which it writes to a file."""
        variables = {"URL": self.listen_url, "FILE": str(self.folder / name)}
        self.listeners.append(await Encoder.start(LISTEN, variables=variables))
        return self.listeners[-1]

    def stored_folder(self, arn: str) -> Path:
        """Return the folder of a composition in the embedded store."""
        found = self.ivs.get_composition(arn=arn)["composition"]["destinations"]
        prefix = next(each["detail"]["s3"]["recordingPrefix"] for each in found if "detail" in each)
        return self.folder / "data" / "recordings" / "my-bucket" / str(prefix)

    def kill_composition(self) -> None:
        """Kill the process of the composition."""
        (process_id,) = re.findall(r"composition process runs\S* process_id=(\d+)", self.server.log)
        os.kill(int(process_id), signal.SIGKILL)

    async def close(self) -> None:
        """End the publishers and the server."""
        for publisher in self.publishers:
            await publisher.stop()
        assert self.server.stop() == 0


@pytest.fixture(name="composed")
async def composed_fixture(tmp_path: Path) -> AsyncIterator[ComposedServer]:
    composed = await asyncio.to_thread(ComposedServer, tmp_path)
    await composed.publish()
    yield composed
    await composed.close()


async def test_a_composition_is_stored_and_pushed(composed: ComposedServer) -> None:
    listener = await composed.listener("received.flv")
    arn = composed.compose(FFMPEG_CHANNEL)
    await composed.until(arn, lambda state, outputs: state == "ACTIVE" and outputs == ["ACTIVE", "ACTIVE"])
    await asyncio.sleep(6)  # What is composed in this time is played below.
    composed.ivs.stop_composition(arn=arn)
    await composed.until(arn, lambda state, outputs: state == "STOPPED" and outputs == ["STOPPED", "STOPPED"])
    await listener.wait_until_ended()
    objects = objects_below(composed.stored_folder(arn))
    (rendition,) = {name.rpartition("/")[0] for name in objects if name.endswith("/playlist.m3u8")}
    assert rendition.startswith("media/hls/180p15-")
    recording = check_recording(objects, folder=rendition)
    assert recording.duration_seconds > 4
    playlist = next((composed.folder / "data" / "recordings").rglob("multivariant.m3u8"))
    player = await Encoder.start(
        'ffmpeg -v warning -i "$FILE" -enc_time_base -1 -f null -', variables={"FILE": str(playlist)}
    )
    assert await player.wait_until_ended() == ""
    # Both publishers are seen: the picture is not of one brightness on either half, and sound is heard.
    with av.open(str(composed.folder / "received.flv")) as received:
        pictures = [frame.to_ndarray(format="gray") for frame in received.decode(video=0)]
    assert len(pictures) > 30
    assert pictures[-1][:, 160:].std() > 10
    assert pictures[-1][:, :160].std() > 10


async def test_a_composition_is_published_on_another_stage(composed: ComposedServer) -> None:
    arn = composed.compose(INGEST_CHANNEL, stores=False)
    await composed.until(arn, lambda state, outputs: state == "ACTIVE" and outputs == ["ACTIVE"])

    def published() -> list[dict[str, Any]]:
        sessions = composed.ivs.list_stage_sessions(stageArn=composed.viewed_arn)["stageSessions"]
        if not sessions:
            return []
        listed = composed.ivs.list_participants(stageArn=composed.viewed_arn, sessionId=sessions[0]["sessionId"])
        return [one for one in listed["participants"] if one["published"]]

    async with asyncio.timeout(WAIT_SECONDS):
        while not await asyncio.to_thread(published):  # noqa: ASYNC110 - the API has no event
            await asyncio.sleep(0.2)
    composed.ivs.stop_composition(arn=arn)
    await composed.until(arn, lambda state, _outputs: state == "STOPPED")


async def test_a_listener_that_comes_back_is_found_and_a_killed_process_is_a_failure(composed: ComposedServer) -> None:
    first = await composed.listener("first.flv")
    arn = composed.compose(FFMPEG_CHANNEL, stores=False)
    await composed.until(arn, lambda state, outputs: state == "ACTIVE" and outputs == ["ACTIVE"])
    await first.kill()
    await composed.until(arn, lambda _state, outputs: outputs == ["RECONNECTING"])
    second = await composed.listener("second.flv")
    await composed.until(arn, lambda state, outputs: state == "ACTIVE" and outputs == ["ACTIVE"])
    composed.kill_composition()
    await composed.until(arn, lambda state, outputs: state == "FAILED" and outputs == ["FAILED"])
    await second.wait_until_ended()


async def test_a_killed_composition_keeps_its_complete_segments(composed: ComposedServer) -> None:
    arn = composed.compose()
    await composed.until(arn, lambda state, _outputs: state == "ACTIVE")
    folder = composed.stored_folder(arn)
    async with asyncio.timeout(WAIT_SECONDS):
        while segments_of(folder) < 2:  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(0.05)
    composed.kill_composition()
    killed = time.time()
    await composed.until(arn, lambda state, outputs: state == "FAILED" and outputs == ["FAILED"])
    async with asyncio.timeout(WAIT_SECONDS):
        while not (folder / "events" / "recording-failed.json").exists():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    objects = objects_below(folder)
    (rendition,) = {name.rpartition("/")[0] for name in objects if name.endswith("/playlist.m3u8")}
    check_recording(objects, folder=rendition)
    assert b"RECORDING_ENDED_WITH_FAILURE" in objects["events/recording-failed.json"]
    assert killed - recorded_until(folder) < MAXIMUM_LOSS_SECONDS

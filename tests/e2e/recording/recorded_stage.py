"""A server with a stage that records its publishers, for tests."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.encoder import Encoder
from tests.clients.publisher import Publisher
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.e2e.server import RunningServer, start_server

BUCKET = "my-bucket"
DEADLINE_SECONDS = 60


class RecordedStage:
    """A running server, its stage, and the publishers that it records."""

    def __init__(self, folder: Path, *, settings: str = "", bucket_name: str = BUCKET) -> None:
        """`settings` are lines of the TOML file."""
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._config = folder / "stagebook.toml"
        self._config.write_text(settings)
        self.server: RunningServer = start_server(folder / "data", config=self._config)
        self.ivs = self.server.client()
        configuration = self.ivs.create_storage_configuration(s3={"bucketName": bucket_name})
        self.stage_arn = self.ivs.create_stage(
            autoParticipantRecordingConfiguration={
                "storageConfigurationArn": configuration["storageConfiguration"]["arn"],
                "hlsConfiguration": {"targetSegmentDurationSeconds": 2},
            }
        )["stage"]["arn"]

    def restart(self) -> None:
        """Start the server again on the same data."""
        self.server = start_server(self.folder / "data", config=self._config)
        self.ivs = self.server.client()

    async def publish(self) -> Publisher:
        """Let a WebRTC publisher publish."""
        token = self.ivs.create_participant_token(stageArn=self.stage_arn, userId="ann", capabilities=["PUBLISH"])
        publisher = Publisher(token["participantToken"]["token"])
        await publisher.start()
        return publisher

    async def encode(self) -> Encoder:
        """Let ffmpeg publish over RTMP."""
        created = self.ivs.create_ingest_configuration(
            stageArn=self.stage_arn, userId="ffmpeg", ingestProtocol="RTMP", insecureIngest=True
        )
        url = self.ivs.get_stage(arn=self.stage_arn)["stage"]["endpoints"]["rtmp"]
        variables = {**VARIABLES, "URL": url, "KEY": created["ingestConfiguration"]["streamKey"]}
        return await Encoder.start(PUBLISH, variables=variables)

    def participants(self) -> list[dict[str, Any]]:
        """Return all participants of the newest session as GetParticipant shows them."""
        sessions = self.ivs.list_stage_sessions(stageArn=self.stage_arn)["stageSessions"]
        if not sessions:
            return []
        scope = {"stageArn": self.stage_arn, "sessionId": sessions[0]["sessionId"]}
        listed = self.ivs.list_participants(**scope)["participants"]
        return [
            self.ivs.get_participant(**scope, participantId=each["participantId"])["participant"] for each in listed
        ]

    async def until_states(self, *states: str) -> list[dict[str, Any]]:
        """Wait until the participants have these states of recording, and return them."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                found = await asyncio.to_thread(self.participants)
                if sorted(each.get("recordingState", "") for each in found) == sorted(states):
                    return found
                await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.05)

    @property
    def stored_folder(self) -> Path:
        """The folder of the bucket in the embedded store."""
        return self.folder / "data" / "recordings" / BUCKET

    def recorder_process(self) -> int:
        """Return the process id of the recorder process."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                is_recorder = b"recorder_process" in path.read_bytes()
                parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if is_recorder and parent == self.server.process.pid:
                return int(path.parent.name)
        raise AssertionError("there is no recorder process")

    def kill_recorder(self) -> None:
        """Kill the recorder process."""
        os.kill(self.recorder_process(), signal.SIGKILL)


def objects_below(folder: Path) -> dict[str, bytes]:
    """Return the objects of a recording by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def segments_of(folder: Path) -> int:
    """Return how many media segments are stored of a recording."""
    return sum(path.stem.isdecimal() for path in folder.rglob("*.mp4"))

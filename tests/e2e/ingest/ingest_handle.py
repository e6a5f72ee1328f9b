"""An ingest configuration of a test's stage: its stream keys, its URLs, and the encoders that publish with it."""

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.encoder import Encoder
from tests.clients.viewer import Viewer
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

SETTINGS = {"session_linger_seconds": "60"}
"""Sessions stay open after their last participant, so that tests find one session."""
IMPATIENT = {
    "rtmp_media_timeout_seconds": "5",
    "rtmp_silence_timeout_seconds": "3",
    "quota_overrides": "publish_bitrate_window_seconds=1",
}
"""Short timeouts, for the tests that wait for their end only: an encoder of a busy machine may be late."""


def run_ingest_server(data: Path, **settings: str) -> AbstractContextManager[RunningServer]:
    """Run a server with SETTINGS and other settings."""
    return run_server(data, config=None, **{**SETTINGS, **settings})


class IngestHandle:
    """An ingest configuration that is attached to a stage. Use `create`."""

    def __init__(self, stage: StageHandle, *, configuration: dict[str, Any], endpoints: dict[str, str]) -> None:
        self.stage = stage
        self.arn: str = configuration["arn"]
        self.participant_id: str = configuration["participantId"]
        self.key: str = configuration["streamKey"]
        self.credentials: list[dict[str, str]] = configuration.get("redundantIngestCredentials", [])
        self.urls = {"RTMP": endpoints["rtmp"], "RTMPS": endpoints["rtmps"]}
        self._encoders: list[Encoder] = []

    @classmethod
    async def create(
        cls,
        stage: StageHandle,
        *,
        insecure: bool = True,
        **request: Any,  # noqa: ANN401 - boto3's own types
    ) -> "IngestHandle":
        """Create a configuration for RTMPS, and with `insecure` also for RTMP. `request` has further API members."""
        created = await stage.call(
            "create_ingest_configuration", ingestProtocol="RTMPS", insecureIngest=insecure, **request
        )
        found = await asyncio.to_thread(stage.ivs.get_stage, arn=stage.arn)
        return cls(stage, configuration=created["ingestConfiguration"], endpoints=found["stage"]["endpoints"])

    async def start(
        self,
        command: str = PUBLISH,
        *,
        protocol: str = "RTMP",
        key: str | None = None,
        variables: Mapping[str, str] = VARIABLES,
    ) -> Encoder:
        """Start an encoder with `key`, or this configuration's key. Skips the test if the encoder is not installed."""
        tool = command.split()[0]
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; .ci/run names the packages")
        target = {"URL": self.urls[protocol], "KEY": key or self.key}
        encoder = await Encoder.start(command, variables={**variables, **target})
        self._encoders.append(encoder)
        return encoder

    async def publish(self, *, protocol: str = "RTMP", variables: Mapping[str, str] = VARIABLES) -> Encoder:
        """Start an encoder with a valid stream and wait until it publishes."""
        encoder = await self.start(protocol=protocol, variables=variables)
        await self.expect_events("JOINED", "PUBLISH_STARTED")
        return encoder

    async def expect_events(self, *expected: str | tuple[str, str]) -> None:
        """Wait until the events of the configuration's participant are exactly these."""
        await self.stage.expect_events(self.participant_id, *expected)

    async def state(self) -> str:
        """Return the configuration's state."""
        found = await asyncio.to_thread(self.stage.ivs.get_ingest_configuration, arn=self.arn)
        return str(found["ingestConfiguration"]["state"])

    async def close(self) -> None:
        """Kill the encoders that are still running."""
        for encoder in self._encoders:
            await encoder.kill()


async def watch(peers: Peers, ingest: IngestHandle) -> Viewer:
    """Return a viewer of the configuration's participant that receives moving video and the tone."""
    _, token = await ingest.stage.token("SUBSCRIBE")
    viewer = peers.viewer(token, publisher_id=ingest.participant_id)
    await viewer.start()
    await viewer.wait_for_media()
    return viewer

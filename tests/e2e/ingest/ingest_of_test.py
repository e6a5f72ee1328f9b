"""An ingest configuration on the stage of a test: its keys, its addresses, and the encoders that publish with it."""

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

SETTINGS = {
    "rtmp_media_timeout_seconds": "3",
    "rtmp_silence_timeout_seconds": "3",
    "session_linger_seconds": "60",
    "quota_overrides": "publish_bitrate_window_seconds=2",
}


def run_ingest_server(data: Path, **settings: str) -> AbstractContextManager[RunningServer]:
    """Run a server that waits for no encoder as long as it would in earnest."""
    return run_server(data, config=None, **{**SETTINGS, **settings})


class IngestOfTest:
    """A configuration attached to a stage. Made by `make`."""

    __test__ = False

    def __init__(self, stage: StageHandle, *, configuration: dict[str, Any], endpoints: dict[str, str]) -> None:
        self.stage = stage
        self.arn: str = configuration["arn"]
        self.participant_id: str = configuration["participantId"]
        self.key: str = configuration["streamKey"]
        self.credentials: list[dict[str, str]] = configuration.get("redundantIngestCredentials", [])
        self.urls = {"RTMP": endpoints["rtmp"], "RTMPS": endpoints["rtmps"]}
        self._encoders: list[Encoder] = []

    @classmethod
    async def make(
        cls,
        stage: StageHandle,
        *,
        insecure: bool = True,
        **request: Any,  # noqa: ANN401 - boto3's own types
    ) -> "IngestOfTest":
        """Create a configuration for RTMPS that takes RTMP, too, unless told otherwise."""
        made = await stage.call(
            "create_ingest_configuration", ingestProtocol="RTMPS", insecureIngest=insecure, **request
        )
        found = await asyncio.to_thread(stage.ivs.get_stage, arn=stage.arn)
        return cls(stage, configuration=made["ingestConfiguration"], endpoints=found["stage"]["endpoints"])

    async def start(
        self,
        command: str = PUBLISH,
        *,
        protocol: str = "RTMP",
        key: str | None = None,
        variables: Mapping[str, str] = VARIABLES,
    ) -> Encoder:
        """Start an encoder, by this configuration's own key unless told. Skips the test if there is no such encoder."""
        tool = command.split()[0]
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on the path; .ci/run names the packages")
        own = {"URL": self.urls[protocol], "KEY": key or self.key}
        encoder = await Encoder.start(command, variables={**variables, **own})
        self._encoders.append(encoder)
        return encoder

    async def publish(self, *, protocol: str = "RTMP", variables: Mapping[str, str] = VARIABLES) -> Encoder:
        """Start an encoder without a fault and wait until it publishes."""
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
        """Kill the encoders that still run."""
        for encoder in self._encoders:
            await encoder.kill()


async def watch(peers: Peers, ingest: IngestOfTest) -> Viewer:
    """Return a viewer of the configuration's participant who sees moving pictures and hears the tone."""
    _, token = await ingest.stage.token("SUBSCRIBE")
    viewer = peers.viewer(token, publisher_id=ingest.participant_id)
    await viewer.start()
    await viewer.wait_for_media()
    return viewer

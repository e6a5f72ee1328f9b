"""Two ingest processes that serve one encoder each: a key in use, redundancy, a third encoder, the loss of one."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.e2e.ingest.commands import GSTREAMER, VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle, run_ingest_server, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

PUBLISHING = ("JOINED", "PUBLISH_STARTED")
REPORT_POLLS = 200
LOST = (("PUBLISH_ERROR", "INTERNAL_SERVER_EXCEPTION"), "PUBLISH_STOPPED", "LEFT")


def process_id_of_ingest(server: RunningServer, number: int) -> int:
    """Return the process id of an ingest process that was not restarted, from the server's log."""
    (line,) = [line for line in server.log.splitlines() if "ingest process runs" in line and f"engine={number}" in line]
    return int(line.rpartition("process_id=")[2].split()[0])


async def encoder_counts(server: RunningServer) -> tuple[int, int]:
    """Return how many encoders publish, and how many were refused to shed load, from /health."""
    async with httpx.AsyncClient() as client:
        health = (await client.get(f"{server.endpoint_url}/health")).json()
    return health["encoder_streams"], health["shed_encoders"]


@pytest.mark.timeout(180)
async def test_two_processes_serve_two_encoders_and_the_loss_of_one_process_ends_one(
    tmp_path: Path, ingests: list[IngestHandle], peers: Peers
) -> None:
    with run_ingest_server(tmp_path / "data", ingest_processes="2", rtmp_streams_limit="1") as server:
        stage = StageHandle(server)
        redundant = await IngestHandle.create(stage, redundantIngest=True)
        single = await IngestHandle.create(stage)
        ingests += [redundant, single]
        first, second = redundant.credentials
        await redundant.start(key=first["streamKey"], variables=VIEWED)
        await stage.expect_events(first["participantId"], *PUBLISHING)
        reused = await redundant.start(key=first["streamKey"])
        await reused.wait_until_ended()
        assert "REUSE_OF_STREAM_KEY" in reused.errors
        await redundant.start(protocol="RTMPS", key=second["streamKey"], variables=VIEWED)
        await stage.expect_events(second["participantId"], *PUBLISHING)
        viewer = await watch(peers, redundant)

        refused = await single.start()
        await refused.wait_until_ended()
        assert (
            "INTERNAL_SERVER_EXCEPTION: the server is at its limit of 1 encoder streams per process" in refused.errors
        )
        # The report of the process that refused it follows the end of the connection.
        for _ in range(REPORT_POLLS):
            if await encoder_counts(server) == (2, 1):
                break
            await asyncio.sleep(0.05)
        assert await encoder_counts(server) == (2, 1)

        # The first encoder is shown, and the process with the lower number had no connection before the other one.
        os.kill(process_id_of_ingest(server, 0), signal.SIGKILL)
        await viewer.wait_for_new_media()
        await stage.expect_events(first["participantId"], *PUBLISHING, ("PUBLISH_ERROR", "REUSE_OF_STREAM_KEY"), *LOST)
        await single.start(GSTREAMER)
        await single.expect_events(*PUBLISHING)
        assert await stage.events(second["participantId"]) == list(PUBLISHING)
        await redundant.expect_events(*PUBLISHING)
        assert (await encoder_counts(server))[0] == 2
        assert await asyncio.to_thread(server.stop) == 0

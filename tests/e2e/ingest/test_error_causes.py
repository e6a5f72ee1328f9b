"""Each error code of `docs/rtmp.md`, caused by the command that the page shows: the events, and a clean end."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.clients.encoder import Encoder
from tests.e2e.ingest.commands import VIEWED
from tests.e2e.ingest.error_causes import ERROR_CAUSES, ErrorCause
from tests.e2e.ingest.ingest_handle import IngestHandle, run_ingest_server, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import DEADLINE_SECONDS, POLL_SECONDS, StageHandle
from tests.e2e.server import RunningServer

SEPARATE_TESTS = {"REUSE_OF_STREAM_KEY", "QUOTA_EXCEEDED", "STREAM_DURATION_EXCEEDED", "INTERNAL_SERVER_EXCEPTION"}
"""Codes that need more than the command."""
CAUSES = [cause for cause in ERROR_CAUSES if cause.code not in SEPARATE_TESTS]
IMPATIENT_CAUSES = [cause for cause in CAUSES if "timeout_seconds" in cause.when or "window_seconds" in cause.when]
"""What the impatient server finds soon."""


def cause_of(code: str) -> ErrorCause:
    return next(cause for cause in ERROR_CAUSES if cause.code == code)


def events_of(cause: ErrorCause) -> list[str | tuple[str, str]]:
    """Return all events of the participant, in order."""
    ends = {(): (), ("JOINED",): ("LEFT",), ("JOINED", "PUBLISH_STARTED"): ("PUBLISH_STOPPED", "LEFT")}
    return [*cause.after, ("PUBLISH_ERROR", cause.code), *ends[cause.after]]


async def expect_clean_end(encoder: Encoder, code: str) -> None:
    """Check that the encoder received the error code and that its connection was closed."""
    assert f"Server error: {code}: " in await encoder.wait_until_ended()


@pytest.mark.parametrize(
    "cause", [each for each in CAUSES if each not in IMPATIENT_CAUSES], ids=lambda cause: cause.code
)
async def test_the_command_causes_the_code(stage: StageHandle, ingests: list[IngestHandle], cause: ErrorCause) -> None:
    ingest = await IngestHandle.create(stage, insecure=cause.code != "INVALID_PROTOCOL")
    ingests.append(ingest)
    encoder = await ingest.start(cause.command)
    await ingest.expect_events(*events_of(cause))
    await expect_clean_end(encoder, cause.code)
    assert await ingest.state() == "INACTIVE"


@pytest.mark.parametrize("cause", IMPATIENT_CAUSES, ids=lambda cause: cause.code)
async def test_the_command_causes_the_code_after_some_time(impatient_ingest: IngestHandle, cause: ErrorCause) -> None:
    encoder = await impatient_ingest.start(cause.command)
    await impatient_ingest.expect_events(*events_of(cause))
    await expect_clean_end(encoder, cause.code)
    assert await impatient_ingest.state() == "INACTIVE"


async def test_a_key_in_use_is_refused_and_its_stream_continues(ingest: IngestHandle, peers: Peers) -> None:
    await ingest.publish(variables=VIEWED)
    viewer = await watch(peers, ingest)
    cause = cause_of("REUSE_OF_STREAM_KEY")

    second = await ingest.start(cause.command)

    await expect_clean_end(second, cause.code)
    await ingest.expect_events("JOINED", "PUBLISH_STARTED", *events_of(cause))
    await viewer.wait_for_more_frames()


async def test_a_publisher_beyond_the_quota_is_refused(tmp_path: Path, ingests: list[IngestHandle]) -> None:
    with run_ingest_server(tmp_path / "data", quota_overrides="publishers_per_stage=1") as server:
        stage = StageHandle(server)
        ingests += [await IngestHandle.create(stage) for _ in range(2)]
        await ingests[0].publish()
        cause = cause_of("QUOTA_EXCEEDED")

        second = await ingests[1].start(cause.command)

        await expect_clean_end(second, cause.code)
        await ingests[1].expect_events(*events_of(cause))
        await ingests[0].expect_events("JOINED", "PUBLISH_STARTED")


async def test_a_stream_that_lasts_too_long_is_ended(tmp_path: Path, ingests: list[IngestHandle]) -> None:
    with run_ingest_server(tmp_path / "data", quota_overrides="duration_seconds=3") as server:
        ingests.append(await IngestHandle.create(StageHandle(server)))
        cause = cause_of("STREAM_DURATION_EXCEEDED")
        encoder = await ingests[0].start(cause.command)
        await ingests[0].expect_events(*events_of(cause))
        await expect_clean_end(encoder, cause.code)


async def test_a_key_without_a_stage_is_refused_and_counted(ingest: IngestHandle) -> None:
    server = ingest.stage.server
    before = await unknown_stream_keys(server)
    await asyncio.to_thread(ingest.stage.ivs.update_ingest_configuration, arn=ingest.arn, stageArn="")
    secret = ingest.key.rpartition("_")[2]

    for key in (ingest.key, f"rt_123456789012_us-west-2_neverThere12_{secret}"):
        encoder = await ingest.start(key=key)
        await expect_clean_end(encoder, "INVALID_STREAM_KEY")

    assert await unknown_stream_keys(server) == before + 2
    assert await ingest.stage.session_id() is None
    assert secret not in server.log


async def unknown_stream_keys(server: RunningServer) -> int:
    """Return the number of encoders that were refused for a key without a stage, from /health."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.endpoint_url}/health")
    count: int = answer.json()["unknown_stream_keys"]
    return count


@pytest.mark.parametrize("kind", ["media engine", "ingest process"])
async def test_the_loss_of_a_process_is_an_internal_error_and_it_is_replaced(
    tmp_path: Path, ingests: list[IngestHandle], kind: str
) -> None:
    with run_ingest_server(tmp_path / "data") as server:
        ingests.append(await IngestHandle.create(StageHandle(server)))
        cause = cause_of("INTERNAL_SERVER_EXCEPTION")
        encoder = await ingests[0].start(cause.command)
        await ingests[0].expect_events("JOINED", "PUBLISH_STARTED")

        os.kill(process_ids(server, kind)[0], signal.SIGKILL)

        await ingests[0].expect_events(*events_of(cause))
        await encoder.wait_until_ended()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(process_ids(server, kind)) < 2:  # noqa: ASYNC110 - the log file is polled
                await asyncio.sleep(POLL_SECONDS)
        await ingests[0].start()
        await ingests[0].expect_events(*events_of(cause), "JOINED", "PUBLISH_STARTED")


def process_ids(server: RunningServer, kind: str) -> list[int]:
    """Return the ids of all processes of a kind that the server has started, oldest first, from its log."""
    lines = [line for line in server.log.splitlines() if f"{kind} runs" in line]
    return [int(line.rpartition("process_id=")[2].split()[0]) for line in lines]

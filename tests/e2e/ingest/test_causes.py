"""Every error code of docs/rtmp.md from the command that the page names: the events, and a clean end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.encoder import Encoder
from tests.e2e.ingest.causes import CAUSES, Cause
from tests.e2e.ingest.commands import VIEWED
from tests.e2e.ingest.ingest_of_test import IngestOfTest, run_ingest_server, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import DEADLINE_SECONDS, POLL_SECONDS, StageHandle
from tests.e2e.server import RunningServer

OF_THEIR_OWN = {"REUSE_OF_STREAM_KEY", "QUOTA_EXCEEDED", "STREAM_DURATION_EXCEEDED", "INTERNAL_SERVER_EXCEPTION"}
"""The codes that take more than the command alone."""


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with room for one publisher on a stage, and for five seconds."""
    data = tmp_path_factory.mktemp("narrow") / "data"
    with run_ingest_server(data, quota_overrides="publishers_per_stage=1,duration_seconds=5") as server:
        yield server


@pytest.fixture
def narrow_stage(narrow: RunningServer) -> StageHandle:
    return StageHandle(narrow)


def cause_of(code: str) -> Cause:
    return next(cause for cause in CAUSES if cause.code == code)


def events_of(cause: Cause) -> list[str | tuple[str, str]]:
    """Return all events of the participant, in order."""
    ends = {(): (), ("JOINED",): ("LEFT",), ("JOINED", "PUBLISH_STARTED"): ("PUBLISH_STOPPED", "LEFT")}
    return [*cause.after, ("PUBLISH_ERROR", cause.code), *ends[cause.after]]


async def expect_a_clean_end(encoder: Encoder, code: str) -> None:
    """The server told the encoder why, and closed its connection."""
    assert f"Server error: {code}: " in await encoder.wait_until_ended()


@pytest.mark.parametrize(
    "cause", [cause for cause in CAUSES if cause.code not in OF_THEIR_OWN], ids=lambda cause: cause.code
)
async def test_the_command_causes_the_code(stage: StageHandle, made: list[IngestOfTest], cause: Cause) -> None:
    ingest = await IngestOfTest.make(stage, insecure=cause.code != "INVALID_PROTOCOL")
    made.append(ingest)
    encoder = await ingest.start(cause.command)
    await ingest.expect_events(*events_of(cause))
    await expect_a_clean_end(encoder, cause.code)
    assert await ingest.state() == "INACTIVE"


async def test_a_key_in_use_is_refused_and_who_uses_it_goes_on(ingest: IngestOfTest, peers: Peers) -> None:
    await ingest.publish(variables=VIEWED)
    viewer = await watch(peers, ingest)
    cause = cause_of("REUSE_OF_STREAM_KEY")

    second = await ingest.start(cause.command)

    await expect_a_clean_end(second, cause.code)
    await ingest.expect_events("JOINED", "PUBLISH_STARTED", *events_of(cause))
    await viewer.wait_for_more_frames()


async def test_the_publisher_who_is_one_too_many_is_refused(
    made: list[IngestOfTest], narrow_stage: StageHandle
) -> None:
    made += [await IngestOfTest.make(narrow_stage) for _ in range(2)]
    await made[0].publish()
    cause = cause_of("QUOTA_EXCEEDED")

    second = await made[1].start(cause.command)

    await expect_a_clean_end(second, cause.code)
    await made[1].expect_events(*events_of(cause))
    assert ("PUBLISH_ERROR", cause.code) not in await narrow_stage.events(made[0].participant_id)


async def test_a_stream_that_lasts_too_long_is_cut(made: list[IngestOfTest], narrow_stage: StageHandle) -> None:
    made.append(await IngestOfTest.make(narrow_stage))
    cause = cause_of("STREAM_DURATION_EXCEEDED")
    encoder = await made[0].start(cause.command)
    await made[0].expect_events(*events_of(cause))
    await expect_a_clean_end(encoder, cause.code)


async def test_a_key_that_opens_no_stage_is_nobodys_and_is_counted(ingest: IngestOfTest) -> None:
    server = ingest.stage.server
    before = await unknown_stream_keys(server)
    await asyncio.to_thread(ingest.stage.ivs.update_ingest_configuration, arn=ingest.arn, stageArn="")
    secret = ingest.key.rpartition("_")[2]

    for key in (ingest.key, f"rt_123456789012_us-west-2_neverThere12_{secret}"):
        encoder = await ingest.start(key=key)
        await expect_a_clean_end(encoder, "INVALID_STREAM_KEY")

    assert await unknown_stream_keys(server) == before + 2
    assert await ingest.stage.session_id() is None
    assert secret not in server.log


async def unknown_stream_keys(server: RunningServer) -> int:
    """Return how many encoders were refused for a key that opens no stage, as /health tells it."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.endpoint_url}/health")
    count: int = answer.json()["unknown_stream_keys"]
    return count


@pytest.mark.parametrize("kind", ["media engine", "ingest process"])
async def test_a_process_that_dies_is_an_internal_error_and_another_takes_its_place(
    tmp_path: Path, made: list[IngestOfTest], kind: str
) -> None:
    with run_ingest_server(tmp_path / "data") as server:
        made.append(await IngestOfTest.make(StageHandle(server)))
        cause = cause_of("INTERNAL_SERVER_EXCEPTION")
        encoder = await made[0].start(cause.command)
        await made[0].expect_events("JOINED", "PUBLISH_STARTED")

        os.kill(process_ids(server, kind)[0], signal.SIGKILL)

        await made[0].expect_events(*events_of(cause))
        await encoder.wait_until_ended()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(process_ids(server, kind)) < 2:  # noqa: ASYNC110 - a log file sets no event
                await asyncio.sleep(POLL_SECONDS)
        await made[0].start()
        await made[0].expect_events(*events_of(cause), "JOINED", "PUBLISH_STARTED")


def process_ids(server: RunningServer, kind: str) -> list[int]:
    """Return the process ids of the children of a kind that the server has run, oldest first, as its log tells them."""
    lines = [line for line in server.log.splitlines() if f"{kind} runs" in line]
    return [int(line.rpartition("process_id=")[2].split()[0]) for line in lines]

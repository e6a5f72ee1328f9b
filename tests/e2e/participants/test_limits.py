"""The error codes of WebRTC publishers, each caused by a real peer on a server with small quotas."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiortc import RTCRtpSender

from stagebook.demo.generated_media import MovingBar, Tone
from tests.clients.b_frame_publisher import BFramePublisher
from tests.clients.stage_client import OfferRefusedError, offer, token_payload, wait_for_state
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import DEADLINE_SECONDS, POLL_SECONDS, StageHandle
from tests.e2e.server import RunningServer, run_server

QUOTAS_AND_CODES = [
    ("publish_long_side_pixels=64", "RESOLUTION_EXCEEDED"),
    ("publish_bitrate_bps=20000,publish_bitrate_window_seconds=1", "BITRATE_EXCEEDED"),
    ("duration_seconds=3", "STREAM_DURATION_EXCEEDED"),
]


@pytest.mark.parametrize(("quota", "code"), QUOTAS_AND_CODES)
async def test_a_publication_above_a_quota_is_ended(tmp_path: Path, peers: Peers, quota: str, code: str) -> None:
    with run_server(tmp_path / "data", quota_overrides=quota, session_linger_seconds="60") as server:
        stage = StageHandle(server)
        publisher_id, token = await stage.token()
        publisher = peers.publisher(token)

        await publisher.start()

        await stage.expect_events(
            publisher_id, "JOINED", "PUBLISH_STARTED", ("PUBLISH_ERROR", code), "PUBLISH_STOPPED", "LEFT"
        )
        await wait_for_state(publisher.connection, "closed", "failed")


async def test_a_publication_with_b_frames_is_ended(stage: StageHandle) -> None:
    publisher_id, token = await stage.token()
    publisher = BFramePublisher(token)
    await publisher.start()
    try:
        await stage.expect_events(
            publisher_id, "JOINED", "PUBLISH_STARTED", ("PUBLISH_ERROR", "B_FRAME_PRESENT"), "PUBLISH_STOPPED", "LEFT"
        )
    finally:
        await publisher.stop()


async def test_a_publisher_above_the_quota_of_the_stage_is_refused(tmp_path: Path, peers: Peers) -> None:
    with run_server(tmp_path / "data", quota_overrides="publishers_per_stage=1") as server:
        stage = StageHandle(server)
        first_id, first_token = await stage.token()
        second_id, second_token = await stage.token()
        await peers.publisher(first_token).start()

        with pytest.raises(OfferRefusedError) as refused:
            await peers.publisher(second_token).start()

        assert (refused.value.status, refused.value.code) == (409, "QUOTA_EXCEEDED")
        await stage.expect_events(first_id, "JOINED", "PUBLISH_STARTED")
        await stage.expect_events(second_id, ("PUBLISH_ERROR", "QUOTA_EXCEEDED"))


@pytest.mark.parametrize(
    ("kind", "mime_type", "code"),
    [("audio", "audio/PCMU", "INVALID_AUDIO_CODEC"), ("video", "video/VP8", "INVALID_VIDEO_CODEC")],
)
async def test_an_offer_without_a_supported_codec_is_refused(
    tmp_path: Path, peers: Peers, kind: str, mime_type: str, code: str
) -> None:
    with run_server(tmp_path / "data", video_codecs="H264") as server:
        stage = StageHandle(server)
        publisher_id, token = await stage.token()
        connection = peers.publisher(token).connection
        for track in (Tone(), MovingBar()):
            transceiver = connection.addTransceiver(track, direction="sendonly")
            if track.kind == kind:
                supported = RTCRtpSender.getCapabilities(kind).codecs
                transceiver.setCodecPreferences([codec for codec in supported if codec.mimeType == mime_type])

        with pytest.raises(OfferRefusedError) as refused:
            await offer(connection, token_payload(token)["whip_url"], token)

        assert (refused.value.status, refused.value.code) == (406, code)
        await stage.expect_events(publisher_id, ("PUBLISH_ERROR", code))


async def test_the_death_of_an_engine_process_is_an_internal_error_and_a_new_one_starts(
    tmp_path: Path, peers: Peers
) -> None:
    with run_server(tmp_path / "data", session_linger_seconds="60") as server:
        stage = StageHandle(server)
        publisher_id, publisher_token = await stage.token()
        viewer_id, viewer_token = await stage.token()
        await peers.publisher(publisher_token).start()
        await peers.viewer(viewer_token, publisher_id=publisher_id).start()
        # A peer is connected a moment before the engine reports it.
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
        await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))

        os.kill(engine_process_ids(server)[0], signal.SIGKILL)

        await stage.expect_events(
            publisher_id,
            "JOINED",
            "PUBLISH_STARTED",
            ("PUBLISH_ERROR", "INTERNAL_SERVER_EXCEPTION"),
            "PUBLISH_STOPPED",
            "LEFT",
        )
        await stage.expect_events(
            viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id), "LEFT"
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(engine_process_ids(server)) < 2:  # noqa: ASYNC110 - a log file cannot be awaited
                await asyncio.sleep(POLL_SECONDS)
        next_id, next_token = await stage.token()
        await peers.publisher(next_token).start()
        await stage.expect_events(next_id, "JOINED", "PUBLISH_STARTED")


def engine_process_ids(server: RunningServer) -> list[int]:
    """Return the process ids of all engine processes that the server has started, oldest first, from its log."""
    lines = [line for line in server.log.splitlines() if "media engine runs" in line]
    return [int(line.rpartition("process_id=")[2].split()[0]) for line in lines]

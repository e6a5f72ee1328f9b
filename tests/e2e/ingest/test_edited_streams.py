"""Streams that ffmpeg does not send: a stream recorded with ffmpeg, sent again with one change."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.clients.rtmp_publisher import RtmpPublisher
from tests.e2e.ingest.commands import INPUT, VARIABLES
from tests.e2e.ingest.ingest_handle import IngestHandle

VIDEO = 9
AUDIO = 8
FLV_HEADER_BYTES = 13
TAG_HEADER_BYTES = 11
TAG_TRAILER_BYTES = 4
AAC_CONFIGURATION = b"\xaf\x00"
HE_AAC = bytes.fromhex("2b118800")
"""An AudioSpecificConfig: SBR over AAC-LC, from 24 to 48 kHz, stereo (ISO/IEC 14496-3, 1.6.2.1)."""


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """One FLV tag, which is one RTMP message."""

    type_id: int
    timestamp_ms: int
    body: bytes


Edit: TypeAlias = Callable[[list[Tag]], list[Tag]]


def read_tags(flv: bytes) -> Iterator[Tag]:
    position = FLV_HEADER_BYTES
    while position < len(flv):
        size = int.from_bytes(flv[position + 1 : position + 4])
        timestamp_ms = int.from_bytes(flv[position + 4 : position + 7])
        start = position + TAG_HEADER_BYTES
        yield Tag(type_id=flv[position], timestamp_ms=timestamp_ms, body=flv[start : start + size])
        position = start + size + TAG_TRAILER_BYTES


def with_he_aac(tags: list[Tag]) -> list[Tag]:
    return [
        msgspec.structs.replace(tag, body=AAC_CONFIGURATION + HE_AAC)
        if tag.type_id == AUDIO and tag.body.startswith(AAC_CONFIGURATION)
        else tag
        for tag in tags
    ]


def with_timestamps_that_jump_back_once(tags: list[Tag]) -> list[Tag]:
    return [*tags, *tags[3:]]


def with_timestamps_that_jump(tags: list[Tag]) -> list[Tag]:
    return [
        *tags,
        *(msgspec.structs.replace(tag, timestamp_ms=60_000 * number) for number, tag in enumerate(tags[3:], 1)),
    ]


def with_one_truncated_frame(tags: list[Tag]) -> list[Tag]:
    damaged = [number for number, tag in enumerate(tags) if tag.type_id == VIDEO][45]
    return [
        msgspec.structs.replace(tag, body=tag.body[:-1]) if number == damaged else tag
        for number, tag in enumerate(tags)
    ]


def with_truncated_frames(tags: list[Tag]) -> list[Tag]:
    return [msgspec.structs.replace(tag, body=tag.body[:-1]) if tag.type_id == VIDEO else tag for tag in tags]


@pytest.fixture
async def tags(ingest: IngestHandle, tmp_path: Path) -> list[Tag]:
    """Record four seconds with ffmpeg, which is more than the server accepts at once."""
    path = tmp_path / "stream.flv"
    without_pacing = {**VARIABLES, "INPUT": INPUT.removeprefix("-re ")}
    encoder = await ingest.start('ffmpeg $INPUT $H264 $AAC -t 4 -f flv "$KEY"', key=str(path), variables=without_pacing)
    await encoder.wait_until_ended()
    return list(read_tags(path.read_bytes()))


@pytest.mark.parametrize(
    ("edit", "events"),
    [
        (with_he_aac, ["JOINED", ("PUBLISH_ERROR", "INVALID_AUDIO_CODEC"), "LEFT"]),
        (with_truncated_frames, ["JOINED", ("PUBLISH_ERROR", "INVALID_INPUT"), "LEFT"]),
        (
            with_timestamps_that_jump,
            ["JOINED", "PUBLISH_STARTED", ("PUBLISH_ERROR", "INVALID_INPUT"), "PUBLISH_STOPPED", "LEFT"],
        ),
    ],
)
async def test_an_edited_stream_is_ended_with_its_error_code(
    ingest: IngestHandle, tags: list[Tag], edit: Edit, events: list[str | tuple[str, str]]
) -> None:
    await publish_tags(ingest, edit(tags))
    await ingest.expect_events(*events)


@pytest.mark.parametrize("edit", [with_timestamps_that_jump_back_once, with_one_truncated_frame])
async def test_a_stream_with_a_small_fault_goes_on(ingest: IngestHandle, tags: list[Tag], edit: Edit) -> None:
    async with publisher(ingest) as encoder:
        await encoder.publish(ingest.key)
        await send_tags(encoder, edit(tags))
        await ingest.expect_events("JOINED", "PUBLISH_STARTED")
        await encoder.unpublish()
        await encoder.closed()
    await ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_invalid_bytes_after_publish_are_invalid_input(ingest: IngestHandle) -> None:
    async with publisher(ingest) as encoder:
        await encoder.publish(ingest.key)
        await encoder.raw(bytes(range(256)) * 100)
        await encoder.closed()
    await ingest.expect_events("JOINED", ("PUBLISH_ERROR", "INVALID_INPUT"), "LEFT")


def publisher(ingest: IngestHandle) -> RtmpPublisher:
    url = urlsplit(ingest.urls["RTMP"])
    assert url.hostname is not None
    assert url.port is not None
    return RtmpPublisher(url.hostname, url.port)


async def publish_tags(ingest: IngestHandle, tags: list[Tag]) -> None:
    """Publish tags without pauses, and wait until the server closes the connection."""
    async with publisher(ingest) as encoder:
        await encoder.publish(ingest.key)
        with contextlib.suppress(ConnectionError):
            await send_tags(encoder, tags)
        await encoder.closed()


async def send_tags(encoder: RtmpPublisher, tags: list[Tag]) -> None:
    for tag in tags:
        if tag.type_id == VIDEO:
            await encoder.video(tag.timestamp_ms, tag.body)
        elif tag.type_id == AUDIO:
            await encoder.audio(tag.timestamp_ms, tag.body)

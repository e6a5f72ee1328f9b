"""Streams as some hardware encoders send them: viewers see and hear them like any other.

A stream is recorded with ffmpeg, changed to the unusual form, and published in a loop at its own pace.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from stagebook.media.codecs.avc import split_nal_units
from tests.clients.rtmp_publisher import RtmpPublisher
from tests.e2e.ingest.commands import VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle, watch
from tests.e2e.ingest.test_edited_streams import AUDIO, VIDEO, Tag, publisher, read_tags, send_tags
from tests.e2e.participants.conftest import Peers

LOOP_MS = 4_000
VIDEO_HEADER_BYTES = 5
AUDIO_HEADER_BYTES = 2


def nal_units(tag: Tag) -> list[bytes]:
    """The NAL units of a tag with a video frame; none of other tags."""
    if tag.type_id != VIDEO or tag.body[1] != 1:
        return []
    body = memoryview(tag.body)[VIDEO_HEADER_BYTES:]
    return [bytes(unit) for unit in split_nal_units(body, length_size_bytes=4)]


def with_slices_in_separate_messages(tags: list[Tag]) -> Iterator[Tag]:
    for tag in tags:
        units = nal_units(tag)
        for unit in units:
            body = tag.body[:VIDEO_HEADER_BYTES] + len(unit).to_bytes(4) + unit
            yield msgspec.structs.replace(tag, body=body)
        if not units:
            yield tag


def with_start_codes(tags: list[Tag]) -> Iterator[Tag]:
    for tag in tags:
        units = nal_units(tag)
        body = tag.body[:VIDEO_HEADER_BYTES] + b"".join(b"\0\0\0\1" + unit for unit in units)
        yield msgspec.structs.replace(tag, body=body) if units else tag


def with_adts(tags: list[Tag]) -> Iterator[Tag]:
    """Audio with ADTS headers and without an AudioSpecificConfig."""
    configuration = next(tag.body[AUDIO_HEADER_BYTES:] for tag in tags if tag.type_id == AUDIO and tag.body[1] == 0)
    fields = int.from_bytes(configuration[:2])
    profile, frequency_index, channels = (fields >> 11) - 1, fields >> 7 & 0x0F, fields >> 3 & 0x0F
    for tag in tags:
        if tag.type_id != AUDIO:
            yield tag
        elif tag.body[1] == 1:
            frame = tag.body[AUDIO_HEADER_BYTES:]
            header = 0xFFF1 << 40 | profile << 38 | frequency_index << 34 | channels << 30 | (len(frame) + 7) << 13
            yield msgspec.structs.replace(tag, body=b"\xaf\x01" + (header | 0x7FF << 2).to_bytes(7) + frame)


@pytest.fixture
async def tags(ingest: IngestHandle, tmp_path: Path) -> list[Tag]:
    """Four seconds, of four slices a frame."""
    path = tmp_path / "stream.flv"
    variables = {**VIEWED, "INPUT": VIEWED["INPUT"].replace("-re ", "", 1)}
    command = 'ffmpeg $INPUT $H264 -x264-params slice-max-mbs=75 $AAC -t 4 -f flv "$KEY"'
    encoder = await ingest.start(command, key=str(path), variables=variables)
    await encoder.wait_until_ended()
    return list(read_tags(path.read_bytes()))


@pytest.mark.parametrize("edit", [with_slices_in_separate_messages, with_start_codes, with_adts])
async def test_viewers_see_and_hear_the_stream(
    ingest: IngestHandle, peers: Peers, tags: list[Tag], edit: Callable[[list[Tag]], Iterator[Tag]]
) -> None:
    async with publisher(ingest) as encoder:
        await encoder.publish(ingest.key)
        publishing = asyncio.create_task(publish_in_a_loop(encoder, list(edit(tags))))
        try:
            await ingest.expect_events("JOINED", "PUBLISH_STARTED")
            viewer = await watch(peers, ingest)
            await viewer.wait_for_new_media()
        finally:
            publishing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await publishing


async def publish_in_a_loop(encoder: RtmpPublisher, tags: list[Tag]) -> None:
    """The server reads a stream at its own pace, so this sends it in real time."""
    start_ms = 0
    while True:
        await send_tags(
            encoder, [msgspec.structs.replace(tag, timestamp_ms=tag.timestamp_ms + start_ms) for tag in tags]
        )
        start_ms += LOOP_MS

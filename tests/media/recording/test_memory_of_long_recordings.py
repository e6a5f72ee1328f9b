"""What a recording retains for each segment, over thousands of them: the writer, the spool, and a store in a folder."""

import asyncio
import gc
import pathlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from stagebook.media.recording.hls.access_unit import video_format
from stagebook.media.recording.hls.encoded_media import EncodedPicture
from stagebook.media.recording.hls.hls_writer import HlsWriter
from stagebook.storage.folder_store import FolderStore
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload import Upload
from stagebook.storage.spool.upload_spool import UploadSpool
from tests.media.recording.tapped_media import second_of_pictures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WARM_UP_SEGMENTS = 200
SEGMENTS = 3_000
"""100 minutes in segments of 2 s."""
MAX_SEGMENT_BYTES = 64
"""Of memory that a stored segment retains: its lines of the playlist."""
MAX_NEW_OBJECTS = SEGMENTS // 2 // 5
"""Of the garbage collector, in the second half of the segments. What a segment retained would be there SEGMENTS // 2
times; without that, some runs have a hundred more objects than others."""
_SEGMENT_US = 2_000_000


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """What the process has allocated and not freed."""

    size_bytes: int
    objects: int


def retained() -> Retained:
    """Return what is retained, without Python's table of interned strings, which pathlib fills and Python tidies."""
    gc.collect()
    traces = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=False, filename_pattern=pathlib.__file__)]
    )
    size_bytes = sum(each.size for each in traces.statistics("filename"))
    return Retained(size_bytes=size_bytes, objects=len(gc.get_objects()))


@pytest.fixture
async def upload(tmp_path: Path) -> AsyncIterator[Upload]:
    spool = UploadSpool(tmp_path / "spool", FolderStore(tmp_path / "store"), max_bytes=1 << 30)
    tracemalloc.start()
    yield spool.open("one", UploadTarget(bucket_name="bucket", prefix="prefix"))
    tracemalloc.stop()
    await spool.stop()


async def test_a_stored_segment_retains_its_lines_of_the_playlist_only(upload: Upload) -> None:
    writer = HlsWriter(
        objects=upload,
        rendition="high",
        segment_seconds=2,
        request_keyframe=lambda: None,
        journal=upload.append_journal,
    )
    keyframe, *others = second_of_pictures()
    writer.start_stream(video=video_format(keyframe), sound=None, start_us=0, wall_clock_ms=0)
    before = middle = retained()
    for segment in range(WARM_UP_SEGMENTS + SEGMENTS):
        for number, body in enumerate((keyframe, *others[:4])):
            time_us = segment * _SEGMENT_US + number * _SEGMENT_US // 5
            writer.write_picture(EncodedPicture(time_us=time_us, body=body, is_keyframe=number == 0))
        await upload.wait_empty()
        if segment == WARM_UP_SEGMENTS:
            await asyncio.sleep(0)
            before = retained()
        elif segment == WARM_UP_SEGMENTS + SEGMENTS // 2:
            await asyncio.sleep(0)
            middle = retained()
    await asyncio.sleep(0)
    after = retained()
    print(
        f"objects: {middle.objects - before.objects} in the first half, {after.objects - middle.objects} in the second"
    )
    assert after.size_bytes - before.size_bytes < SEGMENTS * MAX_SEGMENT_BYTES
    assert after.objects - middle.objects < MAX_NEW_OBJECTS

"""The output to a bucket: what it stores, and what becomes of a bucket that is missing or goes away."""

import asyncio
import contextlib
import datetime
import json
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import av
import pytest

from stagebook.media.composition.composition_port import (
    BucketOutput,
    OutputEnded,
    OutputFact,
    OutputFailed,
    OutputFault,
    OutputStarted,
)
from stagebook.media.composition.outputs import hls_output
from stagebook.media.composition.outputs.hls_output import HlsOutput
from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.storage.folder_store import FolderStore
from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload_spool import UploadSpool
from tests.media.composition.encoded_media import CANVAS, packets, stream_format
from tests.storage.gated_store import fill_disk

NOW_MS = 1_764_000_010_000
LATE_MS = 1_500
"""How long the first packet has waited."""
IDS = {"composition_id": "composition", "destination_id": "abcdefghijkl"}
OUTPUT = BucketOutput(
    destination_id="abcdefghijkl",
    canvas=CANVAS,
    bucket_name="my-bucket",
    prefix="a/b/composite",
    thumbnails=ThumbnailSettings(interval_seconds=2, is_latest=True),
)


class FaultyStore(FolderStore):
    """A folder store that fails as it is told."""

    fault: StorageFault | None = None

    async def check_bucket(self, bucket_name: str) -> None:
        """As ObjectStore.check_bucket."""
        self._fail()
        await super().check_bucket(bucket_name)

    async def put(self, bucket_name: str, key: str, body: bytes, *, content_type: str) -> None:
        """As ObjectStore.put."""
        self._fail()
        await super().put(bucket_name, key, body, content_type=content_type)

    def _fail(self) -> None:
        if self.fault is not None:
            raise StorageError(fault=self.fault, detail="as the test wants it")


class Storage:
    """A folder store with its spool, and an output that writes to it."""

    def __init__(self, folder: Path, *, spool_bytes: int = 16 << 20) -> None:
        self.path = folder / "recordings"
        self.store = FaultyStore(self.path)
        self.spool = UploadSpool(folder / "spool", self.store, max_bytes=spool_bytes)
        self.facts: asyncio.Queue[OutputFact] = asyncio.Queue()

    @property
    def prefix(self) -> Path:
        return self.path / OUTPUT.bucket_name / OUTPUT.prefix

    def start(self) -> HlsOutput:
        target = UploadTarget(bucket_name=OUTPUT.bucket_name, prefix=OUTPUT.prefix)
        self.upload = self.spool.open("upload", target)
        output = HlsOutput(
            OUTPUT,
            composition_id="composition",
            stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/abc",
            stream_format=stream_format(),
            report=self.facts.put_nowait,
            upload=self.upload,
            check_bucket=partial(self.store.check_bucket, OUTPUT.bucket_name),
            now_ms=lambda: NOW_MS,
            start_ms=lambda: NOW_MS - LATE_MS,
        )
        output.start()
        return output


@pytest.fixture(name="storage")
async def storage_fixture(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = Storage(tmp_path)
    yield storage
    await storage.spool.stop()


async def test_a_composition_is_stored_with_the_documented_layout(storage: Storage) -> None:
    output = storage.start()
    assert await storage.facts.get() == OutputStarted(**IDS)
    for packet in packets(150):
        output.put(packet)
    await output.end()
    assert await storage.facts.get() == OutputEnded(**IDS)
    names = {path.relative_to(storage.prefix).as_posix() for path in storage.prefix.rglob("*") if path.is_file()}
    assert {"media/hls/multivariant.m3u8", "media/hls/180p30-abcdefghijkl/playlist.m3u8"} <= names
    assert {"events/recording-started.json", "events/recording-ended.json"} <= names
    assert {"media/thumbnails/320x180/1.jpg", "media/latest_thumbnail/320x180/thumb.jpg"} <= names
    ended = json.loads((storage.prefix / "events" / "recording-ended.json").read_bytes())
    assert ended["recording_status"] == "RECORDING_ENDED"
    rendition = ended["media"]["hls"]["renditions"][0]
    assert (rendition["resolution_width"], rendition["resolution_height"]) == (320, 180)
    assert ended["media"]["hls"]["duration_ms"] == pytest.approx(5_000, abs=100)
    with av.open(str(storage.prefix / "media" / "hls" / "180p30-abcdefghijkl" / "playlist.m3u8")) as player:
        assert sum(1 for _ in player.decode(video=0)) == 150


async def test_the_playlist_has_the_time_of_the_first_picture_and_not_of_its_arrival(storage: Storage) -> None:
    output = storage.start()
    for packet in packets(70):
        output.put(packet)
    await output.end()
    (playlist,) = storage.prefix.glob("media/hls/*/playlist.m3u8")
    date_times = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", playlist.read_text(encoding="utf-8"))
    assert [datetime.datetime.fromisoformat(each).timestamp() * 1_000 for each in date_times] == [NOW_MS - LATE_MS]


@pytest.mark.parametrize("fault", [StorageFault.BUCKET_NOT_FOUND, StorageFault.ACCESS_DENIED])
async def test_a_bucket_that_takes_nothing_fails_the_output(storage: Storage, fault: StorageFault) -> None:
    storage.store.fault = fault
    output = storage.start()
    assert await storage.facts.get() == OutputFailed(**IDS, fault=OutputFault(fault.value))
    await output.end()
    assert storage.facts.empty()


async def test_a_bucket_that_goes_away_fails_the_output(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hls_output, "WATCH_SECONDS", 0.01)
    output = storage.start()
    assert await storage.facts.get() == OutputStarted(**IDS)
    storage.store.fault = StorageFault.BUCKET_NOT_FOUND
    for packet in packets(70):
        output.put(packet)
    assert await storage.facts.get() == OutputFailed(**IDS, fault=OutputFault.BUCKET_NOT_FOUND)
    await output.end()
    assert storage.facts.empty()


async def test_a_bucket_that_is_gone_at_the_end_fails_the_output(storage: Storage) -> None:
    output = storage.start()
    assert await storage.facts.get() == OutputStarted(**IDS)
    storage.store.fault = StorageFault.ACCESS_DENIED
    await output.end()
    assert await storage.facts.get() == OutputFailed(**IDS, fault=OutputFault.ACCESS_DENIED)


@pytest.mark.parametrize("lost", [0, 1])
async def test_after_a_full_disk_the_playlist_is_complete(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    fill_disk(monkeypatch, f"180p30-abcdefghijkl/{lost}.mp4")
    output = storage.start()
    assert await storage.facts.get() == OutputStarted(**IDS)
    for packet in packets(150):
        output.put(packet)
        await asyncio.sleep(0)
    await output.end()
    assert await storage.facts.get() == OutputFailed(**IDS, fault=OutputFault.INTERNAL)
    await storage.upload.drain(timeout_seconds=20)
    assert storage.facts.empty()
    failed = json.loads((storage.prefix / "events" / "recording-failed.json").read_bytes())
    assert failed["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"
    assert not (storage.prefix / "events" / "recording-ended.json").exists()
    playlists = [path.read_text(encoding="utf-8") for path in storage.prefix.glob("media/hls/*/playlist.m3u8")]
    segments = [f"{number}.mp4" for number in range(lost)]
    assert [re.findall(r"^\d+\.mp4$", each, re.MULTILINE) for each in playlists] == [segments] * min(lost, 1)
    assert all(each.endswith("#EXT-X-ENDLIST\n") for each in playlists)
    (folder,) = storage.prefix.glob("media/hls/*/")
    assert {path.name for path in folder.glob("?.mp4")} >= set(segments)


async def test_a_spool_that_is_full_fails_the_output_and_completes_it(tmp_path: Path) -> None:
    storage = Storage(tmp_path, spool_bytes=4_000)
    output = storage.start()
    assert await storage.facts.get() == OutputStarted(**IDS)
    storage.store.fault = StorageFault.UNAVAILABLE
    for packet in packets(150):
        output.put(packet)
        await asyncio.sleep(0)
    assert await storage.facts.get() == OutputFailed(**IDS, fault=OutputFault.INTERNAL)
    await output.end()
    storage.store.fault = None
    with contextlib.suppress(StorageError):
        await storage.upload.drain(timeout_seconds=20)
    (playlist,) = storage.prefix.glob("media/hls/*/playlist.m3u8")
    text = playlist.read_text(encoding="utf-8")
    assert text.endswith("#EXT-X-ENDLIST\n")
    named = re.findall(r"^\d+\.mp4$", text, re.MULTILINE)
    assert named
    assert all((playlist.parent / name).exists() for name in named)
    await storage.spool.stop()

"""What a power failure leaves of a spool: everything that its journal names.

A power failure is played on the files: what was not synced since it was written is empty, and a name that was not
synced in its folder is gone. No test can do worse, and a real disk may do as badly.
"""

import os
import stat
from pathlib import Path

import pytest

from stagebook.media.recording.participant_recorder import ParticipantRecorder
from stagebook.media.recording.processes.upload_recovery import recover_uploads
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload_spool import UploadSpool
from tests.media.recording.hls_rules import check_recording
from tests.media.recording.recorded_publisher import START_MS, make_request
from tests.media.recording.tapped_media import interleaved, pictures, sounds
from tests.storage.gated_store import GatedStore, until

REQUEST = make_request()
TARGET = UploadTarget(bucket_name=REQUEST.bucket_name, prefix=REQUEST.prefix)


class Disk:
    """Knows what was synced."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.calls = 0
        self._sizes: dict[int, int] = {}
        """The size of each file when it was synced, by inode."""
        self._names: dict[int, set[str]] = {}
        """The names in each folder when it was synced, by inode."""
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._note)

    def _note(self, descriptor: int) -> None:
        self.calls += 1
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = set(os.listdir(descriptor))
        else:
            self._sizes[status.st_ino] = status.st_size
        self._sync(descriptor)

    def fail(self) -> None:
        """Leave what a power failure may leave."""
        for parent, _, files in os.walk(self.folder):
            names = self._names.get(Path(parent).stat().st_ino, set())
            for path in (Path(parent, name) for name in files):
                if path.name not in names:
                    path.unlink()
                else:
                    os.truncate(path, self._sizes.get(path.stat().st_ino, 0))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of the spool."""
    return Disk(tmp_path / "spool", monkeypatch)


async def record(spool: UploadSpool, seconds: int) -> ParticipantRecorder:
    """Record so many seconds, in segments of 2 s."""
    upload = spool.open("one", TARGET)
    now_ms = START_MS
    recorder = ParticipantRecorder(
        request=REQUEST,
        objects=upload,
        journal=upload.append_journal,
        request_keyframe=lambda: None,
        now_ms=lambda: now_ms,
    )
    for frame in interleaved(pictures(seconds), sounds(seconds)):
        now_ms = START_MS + frame.time_us // 1_000
        recorder.receive(frame)
    return recorder


async def test_each_segment_that_the_journal_names_outlasts_a_power_failure(tmp_path: Path, disk: Disk) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = UploadSpool(tmp_path / "spool", store, max_bytes=10_000_000)
    await record(spool, 9)
    await spool.stop()
    disk.fail()

    store.gate.set()
    spool = UploadSpool(tmp_path / "spool", store, max_bytes=10_000_000)
    await recover_uploads(spool, ended_ms=START_MS + 10_000)
    await until(lambda: not any((tmp_path / "spool").iterdir()))
    await spool.stop()
    folder = tmp_path / "store" / REQUEST.bucket_name / REQUEST.prefix
    bodies = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(check_recording(bodies).segments) == 4


async def test_what_the_store_has_taken_outlasts_a_power_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = Disk(tmp_path / "store", monkeypatch)
    store = GatedStore(tmp_path / "store")
    spool = UploadSpool(tmp_path / "spool", store, max_bytes=10_000_000)
    recorder = await record(spool, 9)
    recorder.end()
    await until(lambda: spool.waiting_bytes == 0)
    await spool.stop()
    stored.fail()
    folder = tmp_path / "store" / REQUEST.bucket_name / REQUEST.prefix
    bodies = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(check_recording(bodies).segments) == 5


async def test_a_segment_costs_three_syncs(tmp_path: Path, disk: Disk) -> None:
    """One of the segment, one of its name, one of the journal. A playlist costs none."""
    calls: list[int] = []
    for seconds in (9, 19):
        store = GatedStore(tmp_path / "store")
        store.gate.clear()
        spool = UploadSpool(tmp_path / "spool", store, max_bytes=10_000_000)
        before = disk.calls
        await record(spool, seconds)
        await spool.stop()
        calls.append(disk.calls - before)
    segments = 5
    assert calls[1] - calls[0] <= 4 * segments
    assert calls[1] - calls[0] >= 3 * segments


async def test_the_journal_ends_when_the_disk_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose object could not be written would not be true."""
    spool = UploadSpool(tmp_path / "spool", GatedStore(tmp_path / "store"), max_bytes=1_000_000)
    upload = spool.open("one", TARGET)
    upload.put("a", b"1", "video/mp4")
    upload.append_journal(b"a\n")
    await until(lambda: spool.waiting_bytes == 0)
    monkeypatch.setattr("stagebook.storage.folder_store.KEPT_FREE_BYTES", 1 << 60)
    upload.put("b", b"2", "video/mp4")
    upload.append_journal(b"b\n")
    await until(lambda: upload.fault is not None)
    await spool.stop()
    assert (tmp_path / "spool" / "one" / "journal").read_bytes() == b"a\n"

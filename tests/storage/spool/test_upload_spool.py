"""What waits for the store: its order, its bound, failures of the store, and what a crash leaves."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.spool import upload as upload_module
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload_spool import UploadSpool
from tests.storage.gated_store import GatedStore, fill_disk, until

TARGET = UploadTarget(bucket_name="bucket", prefix="p/q")
KIND = "video/mp4"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(upload_module, "FIRST_DELAY_SECONDS", 0.001)
    monkeypatch.setattr(upload_module, "MAX_DELAY_SECONDS", 0.005)


def open_spool(tmp_path: Path, store: GatedStore, *, max_bytes: int = 1_000_000) -> UploadSpool:
    """Return a spool below the folder of the test."""
    return UploadSpool(tmp_path / "spool", store, max_bytes=max_bytes)


async def test_objects_are_stored_in_order_and_removed_from_the_disk(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    bodies = [(f"p/q/segment-{n}", b"%d" % n) for n in range(20)]
    for key, body in bodies:
        upload.put(key.removeprefix("p/q/"), body, KIND)
    await upload.drain(timeout_seconds=20)
    assert store.stored == bodies
    spool.leave(upload)
    await until(lambda: not (tmp_path / "spool" / "one").exists())
    assert spool.waiting_bytes == 0
    await spool.stop()


async def test_a_later_object_replaces_one_that_waits_and_is_stored_after_what_came_between(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    upload.put("first", b"0", KIND)
    await until(lambda: store.attempts == 1)
    for name, body in (("list", b"1"), ("segment", b"2"), ("list", b"1 2")):
        upload.put(name, body, KIND)
    store.gate.set()
    await upload.drain(timeout_seconds=20)
    assert [key for key, _ in store.stored] == ["p/q/first", "p/q/segment", "p/q/list"]
    assert store.stored[-1][1] == b"1 2"
    await spool.stop()


async def test_an_object_that_is_replaced_while_it_is_sent_is_sent_again(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    upload.put("list", b"1", KIND)
    await until(lambda: store.attempts == 1)
    upload.put("list", b"2", KIND)
    store.gate.set()
    await upload.drain(timeout_seconds=20)
    assert [body for _, body in store.stored] == [b"1", b"2"]
    await spool.stop()


async def test_a_store_that_comes_back_gets_everything(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.fault = StorageFault.UNAVAILABLE
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    upload.put("a", b"1", KIND)
    upload.put("b", b"2", KIND)
    await until(lambda: store.attempts >= 3)
    assert store.stored == []
    failed = store.attempts
    await until(lambda: spool.failed_attempts == failed)
    store.fault = None
    await upload.drain(timeout_seconds=20)
    assert [body for _, body in store.stored] == [b"1", b"2"]
    await spool.stop()


async def test_a_drain_ends_at_its_time_or_with_a_fault_that_stays(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    upload.put("a", b"1", KIND)
    with pytest.raises(StorageError) as late:
        await upload.drain(timeout_seconds=0.01)
    assert late.value.fault is StorageFault.UNAVAILABLE
    store.fault = StorageFault.ACCESS_DENIED
    store.gate.set()
    with pytest.raises(StorageError) as denied:
        await upload.drain(timeout_seconds=1_000)
    assert denied.value.fault is StorageFault.ACCESS_DENIED
    # What was left is stored when the store accepts it, and then removed.
    spool.leave(upload)
    store.fault = None
    await until(lambda: not (tmp_path / "spool" / "one").exists())
    assert [body for _, body in store.stored] == [b"1"]
    await spool.stop()


async def test_at_the_bound_the_upload_with_the_most_fails_and_the_others_go_on(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store, max_bytes=1_000)
    large, small = spool.open("large", TARGET), spool.open("small", TARGET)
    faults: list[StorageFault] = []
    large.on_fault = faults.append
    large.put("a", bytes(900), KIND)
    small.put("b", bytes(90), KIND)
    assert (large.fault, small.fault) == (None, None)
    small.put("c", bytes(20), KIND)
    await asyncio.sleep(0)
    assert (faults, small.fault) == ([StorageFault.UNAVAILABLE], None)
    large.put("d", bytes(900), KIND)
    small.put("e", bytes(800), KIND)
    assert spool.waiting_bytes == 900 + 90 + 20 + 800
    with large.last_objects():
        large.put("end", bytes(5), KIND)
    store.gate.set()
    await large.drain(timeout_seconds=20)
    await small.drain(timeout_seconds=20)
    assert {key for key, _ in store.stored} == {f"p/q/{name}" for name in ("a", "b", "c", "e", "end")}
    await spool.stop()


async def test_what_was_left_is_bounded_too_and_the_oldest_is_given_up(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store, max_bytes=1_000)
    for number in range(3):
        upload = spool.open(f"number-{number}", TARGET)
        upload.put("a", bytes(400), KIND)
        spool.leave(upload)
    folders = tmp_path / "spool"
    await until(lambda: (folders / "number-2").exists() and not (folders / "number-0").exists())
    assert (spool.waiting_bytes, spool.left_uploads, spool.abandoned_uploads) == (800, 2, 1)
    await spool.stop()


async def test_what_the_store_never_takes_is_given_up_by_its_age(tmp_path: Path) -> None:
    """Also the only one, and also what an earlier process has left."""
    store = GatedStore(tmp_path / "store")
    store.fault = StorageFault.UNAVAILABLE
    spool = open_spool(tmp_path, store)
    for name in ("old", "new"):
        upload = spool.open(name, TARGET)
        upload.put("a", b"1", KIND)
    await until(lambda: store.attempts > 2)
    await spool.stop()
    written_at = time.time() - 1_000
    os.utime(tmp_path / "spool" / "old" / "0000000001", (written_at, written_at))
    spool = UploadSpool(tmp_path / "spool", store, max_bytes=1_000_000, max_left_seconds=2_000)
    for leftover in spool.read_leftovers():
        spool.leave(spool.adopt(leftover))
    assert spool.left_uploads == 2
    assert spool.oldest_left_seconds == pytest.approx(1_000, abs=60)
    await spool.stop()
    spool = UploadSpool(tmp_path / "spool", store, max_bytes=1_000_000, max_left_seconds=900)
    for leftover in spool.read_leftovers():
        spool.leave(spool.adopt(leftover))
    await until(lambda: not (tmp_path / "spool" / "old").exists())
    assert (spool.left_uploads, spool.abandoned_uploads) == (1, 1)
    assert spool.oldest_left_seconds < 500
    await spool.stop()


async def test_a_journal_stays_until_it_is_settled(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    upload.put("a", b"1", KIND)
    upload.append_journal(b"record")
    spool.leave(upload, is_settled=False)
    await upload.wait_empty()
    await spool.stop()
    journal = tmp_path / "spool" / "one" / "journal"
    assert journal.read_bytes() == b"record"
    spool = open_spool(tmp_path, store)
    [leftover] = spool.read_leftovers()
    spool.leave(spool.adopt(leftover), is_settled=False)
    spool.settle("unknown")
    assert spool.left_uploads == 0
    spool.settle("one")
    await until(lambda: not journal.exists())
    await spool.stop()


async def test_an_object_is_withdrawn_before_it_is_sent(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    for name in ("a", "b", "c"):
        upload.put(name, b"1", KIND)
    await until(lambda: store.attempts == 1)
    upload.withdraw("b")
    upload.withdraw("unknown")
    store.gate.set()
    await upload.drain(timeout_seconds=20)
    assert [key for key, _ in store.stored] == ["p/q/a", "p/q/c"]
    await spool.stop()


async def test_a_new_process_finds_what_the_last_one_left(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    upload.append_journal(b"first,")
    for name, body in (("a", b"1"), ("b", b"22"), ("a", b"333")):
        upload.put(name, body, KIND)
    upload.append_journal(b"second")
    await spool.stop()
    # A write that a kill has interrupted, and an empty folder of an upload that was not made completely.
    (tmp_path / "spool" / "one" / "0000000009.writing").write_bytes(b"half")
    (tmp_path / "spool" / "two").mkdir()

    store.gate.set()
    spool = open_spool(tmp_path, store)
    [left] = spool.read_leftovers()
    assert (left.upload_id, left.target, left.journal) == ("one", TARGET, b"first,second")
    assert [each.name for each in left.waiting] == ["b", "a"]
    adopted = spool.adopt(left)
    adopted.put_last("end", b"4", KIND)
    spool.leave(adopted)
    await until(lambda: not (tmp_path / "spool" / "one").exists())
    assert [body for _, body in store.stored] == [b"22", b"333", b"4"]
    assert list((tmp_path / "spool").iterdir()) == []
    await spool.stop()


async def test_a_folder_that_cannot_be_read_keeps_no_other_from_the_store(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    store.gate.clear()
    spool = open_spool(tmp_path, store)
    for name in ("one", "two", "three"):
        spool.open(name, TARGET).put("a", b"1", KIND)
    await spool.stop()
    for path in (tmp_path / "spool" / "one" / "0000000002", tmp_path / "spool" / "three" / "target.json"):
        path.unlink(missing_ok=True)
        path.mkdir()
    spool = open_spool(tmp_path, store)
    assert [left.upload_id for left in spool.read_leftovers()] == ["two"]
    # They are left to the operator.
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {"one", "two", "three"}
    await spool.stop()


async def test_a_disk_that_cannot_be_written_fails_the_upload(tmp_path: Path) -> None:
    store = GatedStore(tmp_path / "store")
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    await until((tmp_path / "spool" / "one").exists)
    # The folder goes away, as with a disk that is unmounted; root could write to a folder without rights.
    (tmp_path / "spool" / "one").rename(tmp_path / "elsewhere")
    upload.put("a", b"1", KIND)
    await until(lambda: upload.fault is not None)
    assert upload.fault is StorageFault.UNAVAILABLE
    await upload.drain(timeout_seconds=20)
    assert store.stored == []
    await spool.stop()


async def test_a_playlist_never_names_an_object_that_the_disk_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, "1.mp4")
    store = GatedStore(tmp_path / "store")
    spool = open_spool(tmp_path, store)
    upload = spool.open("one", TARGET)
    lost: list[str] = []
    upload.on_lost = lambda: lost.append("told")
    for name in ("0.mp4", "playlist.m3u8", "1.mp4", "playlist.m3u8", "2.mp4", "notes.json"):
        upload.put(name, name.encode(), KIND)
    await until(lambda: upload.fault is not None)
    with upload.last_objects():
        upload.put("playlist.m3u8", b"the last one", KIND)
    await upload.drain(timeout_seconds=20)
    # The first playlist was replaced by the second one, which is dropped.
    assert [key.rpartition("/")[2] for key, _ in store.stored] == ["0.mp4", "2.mp4", "notes.json"]
    assert (upload.has_lost_object, lost) == (True, ["told"])
    upload.put_recovered("playlist.m3u8", b"of the journal", KIND)
    await upload.drain(timeout_seconds=20)
    assert store.stored[-1] == ("p/q/playlist.m3u8", b"of the journal")
    await spool.stop()

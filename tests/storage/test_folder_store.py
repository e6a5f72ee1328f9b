"""Objects in a local folder."""

import asyncio
import resource
import shutil
import stat
from pathlib import Path

import pytest

from stagebook.storage import folder_store
from stagebook.storage.folder_store import FolderStore
from stagebook.storage.object_store import StorageError, StorageFault


async def test_an_object_is_a_private_file_below_its_bucket(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    store = FolderStore(folder)
    await store.check_bucket("my-bucket")
    await store.put("my-bucket", "a/b/one.txt", b"first", content_type="text/plain")
    await store.put("my-bucket", "a/b/one.txt", b"second", content_type="text/plain")
    path = folder / "my-bucket" / "a" / "b" / "one.txt"
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for each in (folder, folder / "my-bucket", path.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["one.txt"]


@pytest.mark.parametrize(
    ("bucket_name", "key"),
    [
        ("b", "../x"),
        ("b", "a/../../x"),
        ("b", "/etc/x"),
        ("b", "a//x"),
        ("b", "a/."),
        ("..", "x"),
        ("a/b", "x"),
        ("", "x"),
        ("b", "a\0"),
    ],
)
def test_a_key_cannot_leave_the_bucket(tmp_path: Path, bucket_name: str, key: str) -> None:
    store = FolderStore(tmp_path / "recordings")
    with pytest.raises(StorageError) as refused:
        asyncio.run(store.put(bucket_name, key, b"x", content_type="text/plain"))
    assert refused.value.fault is StorageFault.UNAVAILABLE
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_a_failure_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file")
    store = FolderStore(tmp_path / "recordings")
    with pytest.raises(StorageError) as failed:
        await store.check_bucket("b")
    assert failed.value.fault is StorageFault.UNAVAILABLE
    with pytest.raises(StorageError):
        await store.put("b", "k", b"x", content_type="text/plain")


async def test_a_disk_that_is_almost_full_takes_no_more_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    await store.put("b", "first", b"x", content_type="text/plain")
    monkeypatch.setattr(folder_store, "KEPT_FREE_BYTES", shutil.disk_usage(tmp_path).total)
    with pytest.raises(StorageError, match="No space left") as failed:
        await store.put("b", "second", b"x", content_type="text/plain")
    assert failed.value.fault is StorageFault.UNAVAILABLE
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["first"]


async def test_a_write_that_fails_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StorageError):
            await store.put("b", "large", bytes(1_000), content_type="text/plain")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "b").iterdir()) == []

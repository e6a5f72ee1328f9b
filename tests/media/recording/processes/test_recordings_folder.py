"""The folder of recordings belongs to the user of the processes that write in it."""

import os
import stat
import threading
from pathlib import Path

import pytest

from stagebook.media.recording.processes.recordings_folder import RecordingsFolder
from stagebook.media.worker.least_rights import ProcessUser

OTHER = ProcessUser(user_id=os.geteuid() + 1, group_id=os.getegid())

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    """A folder with a recording of this process's user."""
    path = tmp_path / "recordings"
    (path / "shows" / "a").mkdir(parents=True)
    (path / "shows" / "a" / "0.mp4").touch()
    return path


def test_both_folders_are_private(tmp_path: Path) -> None:
    folder = RecordingsFolder(tmp_path / "recordings", user=None)
    folder.prepare("_spool")
    sockets = Path(folder.open_tap_directory())
    assert sockets == Path(folder.open_tap_directory())
    for made in (folder.path, folder.path / "_spool", sockets):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    folder.close()
    assert not sockets.exists()


@only_root
def test_what_another_user_has_made_is_given_to_the_user_of_the_processes(path: Path) -> None:
    folder = RecordingsFolder(path, user=OTHER)
    folder.prepare("_spool")
    assert owners(path) == {OTHER.user_id}
    assert Path(folder.open_tap_directory()).stat().st_uid == OTHER.user_id
    folder.close()


@only_root
def test_a_change_of_owner_that_is_interrupted_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path] = []
    give = os.chown

    def give_one(changed: Path, user_id: int, group_id: int, *, follow_symlinks: bool) -> None:
        if given:
            raise InterruptedError
        give(changed, user_id, group_id, follow_symlinks=follow_symlinks)
        given.append(changed)

    folder = RecordingsFolder(path, user=OTHER)
    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", give_one)
        with pytest.raises(InterruptedError):
            folder.prepare()
    folder.prepare()
    assert owners(path) == {OTHER.user_id}


async def test_the_folder_is_given_in_a_thread_and_within_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.media.recording.processes.recordings_folder.PREPARE_SECONDS", 0.01)
    folder, gate, threads = RecordingsFolder(path, user=None), threading.Event(), list[int]()
    prepare = folder.prepare

    def slow(*names: str) -> None:
        threads.append(threading.get_ident())
        gate.wait(20)
        prepare(*names)

    monkeypatch.setattr(folder, "prepare", slow)
    with pytest.raises(OSError, match="still being given"):
        await folder.prepared("_spool")
    gate.set()
    monkeypatch.setattr("stagebook.media.recording.processes.recordings_folder.PREPARE_SECONDS", 20)
    # The same work is waited for.
    await folder.prepared("_spool")
    assert (path / "_spool").is_dir()
    assert len(threads) == 1
    assert threads != [threading.get_ident()]
    folder.close()

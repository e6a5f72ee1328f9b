"""The file of bearer keys: its mode, changes at the same time, and damage."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.data_folder.bearer_key_file import MAXIMUM_KEYS, BearerKeyFile
from stagebook.data_folder.folder_permissions import DataFolderError


def key(key_id: str = "a" * 10) -> BearerKey:
    return BearerKey(key_id=key_id, digest="0" * 64, role=Role.READER, account_id="123456789012", created_ms=1)


def test_keys_are_added_and_removed(tmp_path: Path) -> None:
    file = BearerKeyFile(tmp_path)
    assert (file.read(), file.stamp()) == ((), None)
    file.add(key("a" * 10))
    file.add(key("b" * 10))
    assert BearerKeyFile(tmp_path).read() == (key("a" * 10), key("b" * 10))
    assert file.remove("a" * 10)
    assert not file.remove("a" * 10)
    assert file.read() == (key("b" * 10),)


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    file = BearerKeyFile(tmp_path)
    file.add(key())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.path.chmod(0o644)
    with pytest.raises(DataFolderError, match="other users can read it"):
        file.read()


def test_each_change_has_another_stamp(tmp_path: Path) -> None:
    file = BearerKeyFile(tmp_path)
    stamps = [file.stamp()]
    for action in (lambda: file.add(key()), lambda: file.remove("a" * 10)):
        action()
        stamps.append(file.stamp())
    assert len(set(stamps)) == 3


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"version": 1, "keys": [{"key_id": "x"}]}', b"\xff", b"[" * 100_000, b" " * 2_000_000],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = BearerKeyFile(tmp_path)
    file.add(key())
    file.path.write_bytes(content)
    with pytest.raises(DataFolderError, match=r"bearer-keys\.json is damaged"):
        file.read()


def test_a_file_of_another_version_is_an_error(tmp_path: Path) -> None:
    file = BearerKeyFile(tmp_path)
    file.add(key())
    file.path.write_bytes(file.path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(DataFolderError, match="version 2"):
        file.read()


def test_the_number_of_keys_has_a_bound(tmp_path: Path) -> None:
    file = BearerKeyFile(tmp_path)
    file.add(key())
    one = file.path.read_text(encoding="utf-8")
    begin, end = one.index("{", 1), one.rindex("]")
    file.path.write_text(one[:begin] + ",".join([one[begin:end]] * MAXIMUM_KEYS) + one[end:], encoding="utf-8")
    with pytest.raises(DataFolderError, match="revoke some"):
        file.add(key("b" * 10))


def test_changes_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.data_folder.test_bearer_key_file import *;"
        "[BearerKeyFile(Path(sys.argv[1])).add(key(sys.argv[2] * 9 + letter)) for letter in 'abcdefghij']"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), letter], cwd=Path(__file__).parents[2])
        for letter in "xyz"
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(BearerKeyFile(tmp_path).read()) == 30


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_changed(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_345)
    with pytest.raises(DataFolderError, match="belongs to user 12345"):
        BearerKeyFile(tmp_path).add(key())
    assert list(tmp_path.iterdir()) == []

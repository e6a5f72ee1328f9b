"""A data folder is for tests or not, as its first server decides."""

import stat
from pathlib import Path

import pytest

from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


def test_a_new_folder_may_be_of_either_kind(folder: DataFolder) -> None:
    claim_folder(folder, is_testing=False)
    assert not folder.testing_mark_path.exists()

    claim_folder(folder, is_testing=True)
    assert stat.S_IMODE(folder.testing_mark_path.stat().st_mode) == 0o600


def test_a_folder_for_tests_remains_one(folder: DataFolder) -> None:
    claim_folder(folder, is_testing=True)
    folder.book_path.touch()

    claim_folder(folder, is_testing=True)
    with pytest.raises(DataFolderError, match="is for tests"):
        claim_folder(folder, is_testing=False)


def test_a_folder_with_the_book_of_another_server_is_not_for_tests(folder: DataFolder) -> None:
    claim_folder(folder, is_testing=False)
    folder.book_path.touch()

    with pytest.raises(DataFolderError, match="has a book that was made without --testing"):
        claim_folder(folder, is_testing=True)

    assert not folder.testing_mark_path.exists()
    claim_folder(folder, is_testing=False)

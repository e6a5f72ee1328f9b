"""The mark of a data folder that is for tests.

A server with `--testing` lets tests move its clock, and the times of a book only grow. So it must not have the book of
a server for people, and such a server must not go on with a book whose times a test has moved. The first server that is
started on a folder decides which kind it is.
"""

from stagebook.data_folder.folder_permissions import DataFolderError
from stagebook.data_folder.secrets import DataFolder, write_atomically

_TEXT = b"This data folder is for `stagebook serve --testing`. A test may have moved the times of its book.\n"


def claim_folder(folder: DataFolder, *, is_testing: bool) -> None:
    """Let a folder without a book be for tests, or not. The lock of the book must be held.

    Raises DataFolderError for a folder of the other kind.
    """
    is_marked = folder.testing_mark_path.exists()
    if is_marked and not is_testing:
        raise DataFolderError(
            f"data folder {folder.path} is for tests, which may have moved the times of its book: name another folder"
            " with --data, or start the server with --testing"
        )
    if is_testing and not is_marked:
        if folder.book_path.exists():
            raise DataFolderError(
                f"data folder {folder.path} has a book that was made without --testing, whose times a test would move"
                " for ever: name another folder with --data, or start the server without --testing"
            )
        write_atomically(folder.testing_mark_path, _TEXT)

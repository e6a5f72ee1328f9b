"""The owner and mode of the data folder and of the files in it.

The book holds stream keys and public keys, and other files hold private keys, so no other user may read or change them.
What a check does depends on what another user could have done before it:

* Another owner, or write permission for other users: refused. Another user may have replaced a key or the book, and a
  repaired mode would not undo that.
* Read permission of other users on a secret: refused. The secret may be known, and the operator must decide whether to
  replace it.
* Read permission of other users on the folder, the book or another file: repaired and reported.

The owner must be the effective user of the process. That includes a process of root: a user that owns the folder could
give root a key of its choice.
"""

import os
import stat
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600
OTHERS_MASK = 0o077
OTHERS_WRITE_MASK = 0o022
PRIVATE_UMASK = 0o077
"""The umask of a server: files and folders that any part of it creates are readable by the owner only."""


class DataFolderError(Exception):
    """The data folder or a file in it cannot be used. The message names it and says what to do."""


def make_private(path: Path, *, mode: int) -> bool:
    """Remove the read permission of other users from an existing file or folder; return whether it had one.

    `mode` is the mode that replaces a more permissive one. Raises DataFolderError for another owner and for write
    permission of other users.
    """
    try:
        # The check and the repair use one descriptor, so that the path cannot be replaced between them. O_NONBLOCK
        # keeps the open of a named pipe from waiting for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            require_owner(path, status, owner_id=os.geteuid())
            if status.st_mode & OTHERS_WRITE_MASK:
                raise DataFolderError(
                    f"other users can write to {path}: check that nobody changed it, then run `chmod {mode:o} {path}`"
                )
            if not status.st_mode & OTHERS_MASK:
                return False
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataFolderError(f"{path} cannot be made private: {error.strerror}") from error
    return True


def require_owner(path: Path, status: os.stat_result, *, owner_id: int) -> None:
    """Raise DataFolderError if the file of this status does not belong to user `owner_id`."""
    if status.st_uid != owner_id:
        raise DataFolderError(
            f"{path} belongs to user {status.st_uid}, not to user {owner_id}: start the server as its owner, or check"
            f" the contents and run `chown {owner_id} {path}`"
        )


def read_secret_file(path: Path, *, owner_id: int) -> bytes:
    """Return the contents of a secret. Raises DataFolderError if another user owns it or can access it."""
    try:
        with path.open("rb") as file:
            # The descriptor is checked, not the path: the path could be replaced after the check.
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataFolderError(f"{path} is not a file: move it away")
            require_owner(path, status, owner_id=owner_id)
            if status.st_mode & OTHERS_MASK:
                raise DataFolderError(f"{path} contains a secret and other users can read it: run `chmod 600 {path}`")
            return file.read()
    except OSError as error:
        raise DataFolderError(f"{path} cannot be read: {error.strerror}") from error

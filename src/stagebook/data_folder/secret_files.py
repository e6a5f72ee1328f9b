"""The secrets of a book on SQLite: files beside it, which a copy of the book reads and adds."""

from collections.abc import Mapping
from pathlib import Path

from stagebook.book.copying.copied_secrets import SECRET_NAMES
from stagebook.data_folder.folder_permissions import read_secret_file
from stagebook.data_folder.secrets import write_atomically


class SecretFiles:
    """Implements `BookSecrets`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read_secrets(self) -> dict[str, bytes]:
        """Return the secrets that exist. Raises DataFolderError if one cannot be read, or by other users as well."""
        owner_id = self._folder.stat().st_uid
        paths = {name: self._folder / name for name in SECRET_NAMES}
        return {name: read_secret_file(path, owner_id=owner_id) for name, path in paths.items() if path.exists()}

    def write_secrets(self, secrets: Mapping[str, bytes]) -> None:
        """Add secrets, each as a file of mode 0600. Raises DataFolderError."""
        for name, value in secrets.items():
            write_atomically(self._folder / name, value)

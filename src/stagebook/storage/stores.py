"""Makes the store that the settings name."""

from pathlib import Path

from stagebook.storage.folder_store import FolderStore
from stagebook.storage.object_store import ObjectStore
from stagebook.storage.storage_settings import FolderStorage, Storage


def open_store(storage: Storage) -> ObjectStore:
    """Return the store. Nothing is read or sent yet."""
    if isinstance(storage, FolderStorage):
        return FolderStore(Path(storage.path))
    # obstore takes long to import, and most servers write to a folder.
    from stagebook.storage.s3_store import S3Store

    return S3Store(storage)

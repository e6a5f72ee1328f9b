"""The webhooks and the bearer keys of a data folder, for `stagebook book copy`: two files, as tables."""

import msgspec

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.copying.copied_tables import SHARED_TABLES
from stagebook.data_folder.bearer_key_file import VERSION, BearerKeyDocument, BearerKeyFile
from stagebook.data_folder.secrets import DataFolder, write_atomically
from stagebook.webhooks.webhook_copy import WebhookFileSource, WebhookFileTarget


class SharedFilesSource(WebhookFileSource):
    """Implements `SharedRows`. Leaving the context closes it."""

    def __init__(self, folder: DataFolder) -> None:
        """Open the files. Those that are missing have no rows. Raises BookFailedError and DataFolderError."""
        keys = BearerKeyFile(folder.path).read()
        rows = [(key.key_id, msgspec.json.encode(key).decode(), key.created_ms) for key in keys]
        super().__init__(folder.webhook_path, rows, place=str(folder.path))


class SharedFilesTarget(WebhookFileTarget):
    """Implements `SharedTarget`. Leaving the context without `complete_shared` leaves nothing."""

    def __init__(self, folder: DataFolder) -> None:
        """Begin new files. Raises BookRefusedError if the folder has webhooks or bearer keys."""
        with SharedFilesSource(folder) as present:
            for table in SHARED_TABLES:
                if present.count(table):
                    raise BookRefusedError(
                        f"{folder.path} has rows of {table.name}: a copy replaces no webhooks and no bearer keys"
                    )
        self._key_path = BearerKeyFile(folder.path).path
        super().__init__(folder.webhook_path, place=str(folder.path))

    def complete_shared(self) -> None:
        """Write the bearer keys, and give the file of webhooks its name, if there are any."""
        documents = self.bearer_keys()
        try:
            keys = tuple(msgspec.json.decode(document, type=BearerKey) for document in documents)
        except msgspec.MsgspecError as error:
            raise BookFailedError(f"a bearer key of the copy is damaged: {error}") from error
        if keys:
            content = msgspec.json.encode(BearerKeyDocument(version=VERSION, keys=keys))
            write_atomically(self._key_path, msgspec.json.format(content) + b"\n")
        self.complete()

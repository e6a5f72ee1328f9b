"""What an output to a bucket needs of the upload of its objects."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from stagebook.storage.object_store import StorageFault


class OutputUpload(Protocol):
    """The objects of the output on their way to the store (`storage.spool.upload`)."""

    fault: StorageFault | None
    last_fault: StorageFault | None
    on_fault: Callable[[StorageFault], None]
    on_lost: Callable[[], None]
    has_lost_object: bool

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """As ObjectWriter."""

    def put_last(self, name: str, body: bytes, content_type: str) -> None:
        """Put an object that completes the upload, also after a fault."""

    def put_recovered(self, name: str, body: bytes, content_type: str) -> None:
        """Put an object that was made of the journal, also after the loss of an object."""

    def last_objects(self) -> AbstractContextManager[None]:
        """Take what is put in this context, also after a fault."""

    async def read_journal(self) -> bytes:
        """Return the journal, once all that was put is on disk or lost. Raises OSError."""

    def withdraw(self, name: str) -> None:
        """Remove an object that waits."""

    def append_journal(self, record: bytes) -> None:
        """Append to the journal, from which an interrupted output is completed (`recording_journal`)."""

    async def drain(self, *, timeout_seconds: float) -> None:
        """Wait until the store has all objects. Raises StorageError."""

"""The port of object storage: what recordings and compositions are written to.

A bucket holds objects by key. An object is written as a whole, and a later object with the same key replaces it. Every
store reports a failure as one of the kinds that AWS documents for recordings, so that the event of a failure has the
documented error code.
"""

from enum import StrEnum
from typing import Protocol


class StorageFault(StrEnum):
    """Why a store did not do what it was asked. The values are the error codes of AWS's events (user guide, "Using
    Amazon EventBridge with IVS Real-Time Streaming")."""

    BUCKET_NOT_FOUND = "ResourceNotFoundException"
    ACCESS_DENIED = "AccessDeniedException"
    UNAVAILABLE = "InternalServerException"
    """The store cannot be reached, is full, or failed. It may succeed later."""


class StorageError(Exception):
    """A store refused or failed. `detail` names the store's reason, for the log; it holds no secret."""

    def __init__(self, *, fault: StorageFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


class ObjectStore(Protocol):
    """The buckets of one storage service."""

    async def check_bucket(self, bucket_name: str) -> None:
        """Check that objects can be written to a bucket. Raises StorageError."""

    async def put(self, bucket_name: str, key: str, body: bytes, *, content_type: str) -> None:
        """Write an object. It is stored when this returns. Raises StorageError."""

"""Objects in S3, or in a server with its protocol, by obstore (the Rust crate `object_store`).

A client of obstore belongs to one bucket. The clients of the buckets that were used last are kept, with their
connections. This module retries nothing: the spool does, and knows how long.

How obstore reports what S3 answers to a PUT (tests/storage/test_s3_store.py holds it against a server):

    404 NoSuchBucket                           FileNotFoundError
    403 AccessDenied, InvalidAccessKeyId ...   PermissionDeniedError
    401                                        UnauthenticatedError
    3xx, 5xx, no connection, timeout           GenericError

A list request has GenericError for every answer, with the status in its message.
"""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as BucketClient

from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.storage_settings import S3Storage

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

MAX_CLIENTS: Final = 64
"""The buckets whose connections are kept."""
CONNECT_TIMEOUT_SECONDS: Final = 5.0
MAX_DETAIL_CHARACTERS: Final = 300
CHECKED_PREFIX: Final = "stagebook-check"

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")


class S3Store:
    """An ObjectStore in S3."""

    def __init__(self, settings: S3Storage) -> None:
        self._settings = settings
        self._clients: OrderedDict[str, BucketClient] = OrderedDict()

    async def check_bucket(self, bucket_name: str) -> None:
        """As ObjectStore.check_bucket, as far as can be told without an object: by listing a prefix without objects.

        Credentials that may write need not be allowed to list: AccessDenied for the list says nothing, and the first
        object decides.
        """
        client = self._client(bucket_name)
        try:
            await _call(lambda: obstore.list_with_delimiter_async(client, prefix=CHECKED_PREFIX))
        except StorageError as error:
            if error.fault is not StorageFault.ACCESS_DENIED or "AccessDenied" not in error.detail:
                raise

    async def put(self, bucket_name: str, key: str, body: bytes, *, content_type: str) -> None:
        """As ObjectStore.put, with one request."""
        client = self._client(bucket_name)
        # The type of `attributes` has no name at run time, and takes plain strings.
        attributes: Any = {"Content-Type": content_type}
        await _call(lambda: obstore.put_async(client, key, body, attributes=attributes, use_multipart=False))

    def _client(self, bucket_name: str) -> BucketClient:
        client = self._clients.pop(bucket_name, None)
        if client is None:
            try:
                client = self._new_client(bucket_name)
            except (BaseError, ValueError, OSError) as error:
                raise _storage_error(error) from error
        self._clients[bucket_name] = client
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return client

    def _new_client(self, bucket_name: str) -> BucketClient:
        settings = self._settings
        config: S3Config = {"region": settings.region, "virtual_hosted_style_request": not settings.has_path_style}
        if settings.endpoint_url is not None:
            config["endpoint"] = settings.endpoint_url
        if settings.access_key_id is not None and settings.secret_access_key is not None:
            config["access_key_id"] = settings.access_key_id
            config["secret_access_key"] = settings.secret_access_key
        client_options: ClientConfig = {
            "allow_http": settings.allows_http,
            "timeout": timedelta(seconds=settings.timeout_seconds),
            "connect_timeout": timedelta(seconds=min(CONNECT_TIMEOUT_SECONDS, settings.timeout_seconds)),
        }
        retry: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=settings.timeout_seconds)}
        return BucketClient(bucket_name, config=config, client_options=client_options, retry_config=retry)


async def _call(request: Callable[[], Awaitable[object]]) -> None:
    """Make a request and await it; a key is refused when it is made. Raises StorageError."""
    try:
        await request()
    except (BaseError, ValueError, OSError) as error:
        raise _storage_error(error) from error


def _storage_error(error: Exception) -> StorageError:
    text = str(error)
    # The first line says what failed; then follow the whole response and the innards of the client.
    status, code = _STATUS.search(text), _CODE.search(text)
    detail = text.partition("\n")[0][:MAX_DETAIL_CHARACTERS] + (f" ({code[1]})" if code else "")
    answer = int(status[1]) if status else 0
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or answer in {401, 403}:
        fault = StorageFault.ACCESS_DENIED
    elif isinstance(error, FileNotFoundError) or answer == 404:
        fault = StorageFault.BUCKET_NOT_FOUND
    else:
        fault = StorageFault.UNAVAILABLE
    return StorageError(fault=fault, detail=detail)

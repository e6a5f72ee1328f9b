"""Objects on a real S3 server, and how each failure is told."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from stagebook.storage.object_store import StorageError, StorageFault
from stagebook.storage.s3_store import S3Store
from stagebook.storage.storage_settings import S3Storage
from tests.storage.s3_server import REGION, ROOT_KEY, ROOT_SECRET, S3Server, running_s3_server

pytestmark = [pytest.mark.recording, pytest.mark.timeout(900)]

KEY = "ivs/v1/123456789012/a b/ü/segment=1.mp4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with the bucket `open`."""
    with running_s3_server(tmp_path_factory.mktemp("s3")) as running:
        running.make_bucket("open")
        yield running


def client(server: S3Server) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    """Return Amazon's own client of the server."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
    )


async def put_fault(settings: S3Storage, bucket_name: str = "open") -> StorageError:
    """Return how a put fails."""
    with pytest.raises(StorageError) as failed:
        await S3Store(settings).put(bucket_name, KEY, b"x", content_type="video/mp4")
    return failed.value


async def test_amazons_client_reads_what_was_put(server: S3Server) -> None:
    store = S3Store(server.storage())
    await store.check_bucket("open")
    await store.put("open", KEY, b"first", content_type="video/mp4")
    await store.put("open", KEY, b"second", content_type="video/mp4")
    found = await asyncio.to_thread(client(server).get_object, Bucket="open", Key=KEY)
    assert (found["Body"].read(), found["ContentType"]) == (b"second", "video/mp4")


async def test_a_missing_bucket_is_told(server: S3Server) -> None:
    assert (await put_fault(server.storage(), "missing")).fault is StorageFault.BUCKET_NOT_FOUND
    with pytest.raises(StorageError) as failed:
        await S3Store(server.storage()).check_bucket("missing")
    assert failed.value.fault is StorageFault.BUCKET_NOT_FOUND
    assert "NoSuchBucket" in failed.value.detail


async def test_a_user_without_rights_is_denied(server: S3Server) -> None:
    await asyncio.to_thread(server.add_user, "strangerkey", "strangersecret")
    settings = server.storage(key="strangerkey", secret="strangersecret")
    failed = await put_fault(settings)
    assert failed.fault is StorageFault.ACCESS_DENIED
    assert "AccessDenied" in failed.detail
    # Whoever may not list may still be allowed to write.
    await S3Store(settings).check_bucket("open")


@pytest.mark.parametrize(("key", "secret"), [(ROOT_KEY, "wrong-secret-of-the-key"), ("unknown-key", ROOT_SECRET)])
async def test_wrong_credentials_are_denied_and_not_told(server: S3Server, key: str, secret: str) -> None:
    settings = server.storage(key=key, secret=secret)
    failed = await put_fault(settings)
    assert failed.fault is StorageFault.ACCESS_DENIED
    assert secret not in failed.detail
    assert secret not in repr(settings)
    with pytest.raises(StorageError) as checked:
        await S3Store(settings).check_bucket("open")
    assert checked.value.fault is StorageFault.ACCESS_DENIED


async def test_a_server_that_is_down_or_hangs_is_unavailable() -> None:
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        endpoint_url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        settings = S3Storage(
            region=REGION, endpoint_url=endpoint_url, access_key_id="a", secret_access_key="b", timeout_seconds=0.5
        )
        assert (await put_fault(settings)).fault is StorageFault.UNAVAILABLE  # Nobody listens.
        hanging.listen()
        assert (await put_fault(settings)).fault is StorageFault.UNAVAILABLE  # Nobody answers.


async def test_a_key_that_is_no_path_is_refused(server: S3Server) -> None:
    with pytest.raises(StorageError) as failed:
        await S3Store(server.storage()).put("open", "a/../b", b"x", content_type="video/mp4")
    assert failed.value.fault is StorageFault.UNAVAILABLE


async def test_few_clients_are_kept(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.storage.s3_store.MAX_CLIENTS", 2)
    store = S3Store(server.storage())
    for name in ("many1", "many2", "many3", "many1"):
        (server.folder / name).mkdir(exist_ok=True)
        await store.put(name, KEY, b"x", content_type="video/mp4")
    assert len(store._clients) == 2

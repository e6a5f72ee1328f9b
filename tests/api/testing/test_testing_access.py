"""Who may call the testing API: programs on the machine of the server, and nobody else."""

import pytest

from stagebook.api.asgi import Scope
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.testing.testing_access import LoopbackAccess

HOST = (b"host", b"127.0.0.1:8080")


async def body() -> bytes:
    return b""


async def authenticate(address: str | None, *headers: tuple[bytes, bytes]) -> None:
    client = None if address is None else (address, 50_000)
    scope: Scope = {"type": "http", "client": client, "headers": list(headers)}
    await LoopbackAccess().authenticate(scope, body)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_a_program_on_this_machine_may_call(address: str) -> None:
    await authenticate(address, HOST)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "", "unix", None])
async def test_a_client_from_elsewhere_may_not(address: str | None) -> None:
    with pytest.raises(ApiRefusedError, match="on the machine of the server"):
        await authenticate(address, HOST)


@pytest.mark.parametrize("name", [b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"])
async def test_a_request_through_a_proxy_is_refused(name: bytes) -> None:
    with pytest.raises(ApiRefusedError, match="proxy"):
        await authenticate("127.0.0.1", HOST, (name, b"192.0.2.1"))


async def test_a_host_that_somebody_may_own_is_refused() -> None:
    with pytest.raises(ApiRefusedError, match="local name"):
        await authenticate("127.0.0.1", (b"host", b"evil.example:8080"))


@pytest.mark.parametrize("header", [(b"origin", b"http://127.0.0.1:8080"), (b"sec-fetch-site", b"same-origin")])
async def test_web_pages_may_not_call(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ApiRefusedError, match="web pages"):
        await authenticate("127.0.0.1", HOST, header)

"""GET /health: 200 while the server works, 503 while it does not."""

import json
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from stagebook.api.watch.health import Health, HealthApi, LiveKitHealth, ServerStatus


async def get_health(
    server_status: ServerStatus, *, method: str = "GET", livekit: LiveKitHealth | UnsetType | None = UNSET
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the request must not be read")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    found = Health(
        status=server_status,
        version="1.2.3",
        auth="off",
        unknown_stream_keys=2,
        encoder_streams=3,
        shed_encoders=4,
        livekit=livekit,
    )
    api = HealthApi(lambda: found)
    await api({"type": "http", "method": method, "path": "/health"}, receive, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize(
    ("server_status", "expected"),
    [(ServerStatus.OK, 200), (ServerStatus.STOPPING, 503), (ServerStatus.NO_DATABASE, 503), (ServerStatus.FAILED, 503)],
)
async def test_the_http_status_follows_the_server_status(server_status: ServerStatus, expected: int) -> None:
    status, headers, body = await get_health(server_status)
    assert status == expected
    assert json.loads(body) == {
        "status": server_status.value,
        "version": "1.2.3",
        "auth": "off",
        "unknown_stream_keys": 2,
        "encoder_streams": 3,
        "shed_encoders": 4,
    }
    assert headers[b"content-length"] == str(len(body)).encode()


async def test_a_server_with_livekit_shows_its_state() -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for livekit, shown in (
        (LiveKitHealth(state="failing", since=since), {"state": "failing", "since": "2026-01-02T03:04:05Z"}),
        (None, None),
    ):
        status, _, body = await get_health(ServerStatus.OK, livekit=livekit)
        assert status == 200
        assert json.loads(body)["livekit"] == shown


async def test_head_has_no_body() -> None:
    status, headers, body = await get_health(ServerStatus.OK, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0


async def test_other_methods_are_refused() -> None:
    status, headers, _ = await get_health(ServerStatus.OK, method="POST")
    assert status == 405
    assert headers[b"allow"] == b"GET, HEAD"

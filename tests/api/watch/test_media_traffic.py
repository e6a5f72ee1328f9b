"""GET /watch/v1/media-traffic: the counters of the server, for readers."""

import json

import pytest

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, EmptyParameters, Role
from stagebook.api.watch.media_traffic import MediaTraffic, MediaTrafficRoutes
from tests.api.watch.access.access_harness import holder


async def read(*, is_valid: bool) -> HttpResponse:
    [route] = MediaTrafficRoutes(lambda: MediaTraffic(received_bytes=1_000, sent_bytes=2_000)).routes()
    watcher = holder(Role.READER, is_valid=is_valid)
    call = ApiCall(caller=watcher, path={}, query=EmptyParameters(), body=None, headers={})
    response = await route.handle(call)
    assert isinstance(response, HttpResponse)
    return response


async def test_a_reader_gets_the_counters() -> None:
    assert json.loads((await read(is_valid=True)).body) == {"receivedBytes": 1_000, "sentBytes": 2_000}


async def test_a_revoked_key_gets_nothing() -> None:
    with pytest.raises(ApiRefusedError):
        await read(is_valid=False)

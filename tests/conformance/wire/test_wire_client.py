"""Throttled calls are repeated with longer and longer pauses, and an endpoint without a server is told."""

import msgspec
import pytest

from stagebook.conformance.check_outcomes import CheckSkippedError
from stagebook.conformance.wire.call_pace import CallPace
from stagebook.conformance.wire.request_writer import HttpRequest, Signature
from stagebook.conformance.wire.wire_client import UnreachableError, WireClient
from tests.conformance.corrupting_proxy import Corruption, ProxiedAnswer, corrupting_proxy
from tests.e2e.server import REGION, RunningServer

LIST_STAGES = HttpRequest(operation="ListStages", method="POST", path="/ListStages", body=b"{}")


def throttled(*, times: int) -> Corruption:
    """Return a corruption that throttles the first calls."""
    left = times

    def corrupt(answer: ProxiedAnswer) -> ProxiedAnswer:
        nonlocal left
        left -= 1
        if left < 0:
            return answer
        return msgspec.structs.replace(answer, status=400, headers={"x-amzn-errortype": "ThrottlingException"})

    return corrupt


def client(endpoint_url: str, server: RunningServer, pauses: list[float]) -> WireClient:
    signature = Signature(
        access_key_id=server.key.access_key_id, secret_access_key=server.key.secret_access_key, region=REGION
    )
    pace = CallPace(max_calls=100, monotonic=lambda: 0.0, sleep=pauses.append)
    return WireClient(endpoint_url=endpoint_url, signature=signature, pace=pace)


def test_a_throttled_call_is_repeated(server: RunningServer) -> None:
    pauses: list[float] = []
    with corrupting_proxy(server.endpoint_url, throttled(times=3)) as endpoint_url:
        calls = client(endpoint_url, server, pauses)
        assert calls.send(LIST_STAGES).status == 200
        calls.close()
    assert pauses == [0.5, 1.0, 2.0]
    assert calls.pace.calls == 4


def test_a_call_that_is_always_throttled_is_no_failure(server: RunningServer) -> None:
    pauses: list[float] = []
    with corrupting_proxy(server.endpoint_url, throttled(times=100)) as endpoint_url:
        calls = client(endpoint_url, server, pauses)
        with pytest.raises(CheckSkippedError, match="throttled ListStages 6 times"):
            calls.send(LIST_STAGES)
        calls.close()
    assert sum(pauses) == 31.5


def test_an_endpoint_without_a_server_is_told(server: RunningServer) -> None:
    calls = client("http://127.0.0.1:9", server, [])
    with pytest.raises(UnreachableError, match="does not answer"):
        calls.send(LIST_STAGES)

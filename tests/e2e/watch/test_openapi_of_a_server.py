"""The OpenAPI document that a server serves, held against that server."""

from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from tests.e2e.server import RunningServer, run_server
from tests.e2e.watch.bearer import create_key, get, wait_for_status
from tests.e2e.watch.conformance import run_schemathesis


@pytest.fixture(scope="session")
def document(server: RunningServer) -> Any:  # noqa: ANN401 - JSON
    """The document, which needs no key."""
    response = httpx.get(f"{server.endpoint_url}/watch/v1/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    return response.json()


def operations(document: Any) -> list[tuple[str, str, Any]]:  # noqa: ANN401 - JSON
    """Return the method, the path and the description of each operation."""
    return [(method, path, item[method]) for path, item in document["paths"].items() for method in item]


def test_the_document_is_valid(document: Any) -> None:  # noqa: ANN401 - JSON
    jsonschema_rs.validator_for(OPENAPI_31).validate(document)
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_a_stream_refuses_invalid_parameters(server: RunningServer, document: Any) -> None:  # noqa: ANN401 - JSON
    key = create_key(server, "reader")
    wait_for_status(server, "/watch/v1/me", key=key, status=200)
    streams = [path for _, path, operation in operations(document) if is_stream(operation)]
    assert streams
    for path in streams:
        names = [parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]]
        # Nothing is valid for all parameters: empty texts, and a text that is no number, no time, and no name.
        empty = "&".join(f"{name}=" for name in names)
        for query in ("unknown=1", empty, "%ff", "&".join(["name=JOINED"] * 100)):
            response = get(server, f"{path}?{query}", key=key)
            assert (response.status_code, response.json()["code"]) == (400, "INVALID_PARAMETER"), query


def is_stream(operation: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether the response to an operation never ends."""
    return "text/event-stream" in operation["responses"].get("200", {}).get("content", {})


@pytest.mark.slow
def test_the_server_keeps_to_its_document(tmp_path: Path) -> None:
    # A server of its own: the requests without a key use up the failures that an address may have.
    with run_server(tmp_path / "data") as server:
        assert run_schemathesis(server, tmp_path, examples=3, phases="fuzzing") == 0
        assert "level=error" not in server.log

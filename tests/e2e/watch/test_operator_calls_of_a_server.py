"""Operator calls to a server whose book holds the documented example: they answer as signed calls do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.aws.documented_example import STAGE_ARN, write_documented_book
from tests.e2e.aws.invalid_inputs import invalid_inputs
from tests.e2e.aws.raw_requests import send
from tests.e2e.aws.valid_inputs import MODEL, VALID_INPUTS
from tests.e2e.server import RunningServer, run_server
from tests.e2e.watch.bearer import create_key, wait_for_status

IN_BODY = [name for name, operation in MODEL["operations"].items() if operation["http"]["requestUri"] == f"/{name}"]
"""The operations whose input is in the body as a whole: all but those of tags."""


class Operator:
    """The holders of an operator's and a reader's key."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self._client = httpx.Client(timeout=30)
        self._keys = {role: create_key(server, role) for role in ("operator", "reader")}
        for key in self._keys.values():
            wait_for_status(server, "/watch/v1/me", key=key, status=200)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, operation: str, request: object, *, role: str = "operator") -> httpx.Response:
        """Call an operation over the watch API."""
        headers = {"Authorization": f"Bearer {self._keys[role]}", "Content-Type": "application/json"}
        url = f"{self.server.endpoint_url}/watch/v1/operations/{operation}"
        return self._client.post(url, content=json.dumps(request), headers=headers)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    data: Path = tmp_path_factory.mktemp("operator") / "data"
    write_documented_book(data)
    with run_server(data) as server:
        operator = Operator(server)
        yield operator
        operator.close()
        assert "level=error" not in server.log


def answer(response: httpx.Response) -> tuple[int, str | None, Any]:
    """Return the status, the name of the error and the body of a response."""
    return response.status_code, response.headers.get("x-amzn-errortype"), response.json()


@pytest.mark.parametrize("name", IN_BODY)
def test_an_operator_call_answers_as_the_signed_call(operator: Operator, name: str) -> None:
    requests = [case.request for case in invalid_inputs(name)[:2]]
    if name.startswith(("Get", "List")):
        requests.append(VALID_INPUTS[name])
    assert requests
    for request in requests:
        signed = send(operator.server, f"/{name}", json.dumps(request).encode())
        assert answer(operator.call(name, request)) == answer(signed)


def test_the_members_of_a_path_and_a_query_are_in_the_body(operator: Operator) -> None:
    resource = {"resourceArn": STAGE_ARN}
    assert operator.call("TagResource", {**resource, "tags": {"team": "a b+c"}}).status_code == 200
    assert operator.call("ListTagsForResource", resource).json()["tags"]["team"] == "a b+c"
    assert operator.call("UntagResource", {**resource, "tagKeys": ["team"]}).status_code == 200
    assert "team" not in operator.call("ListTagsForResource", resource).json()["tags"]


def test_a_reader_reads_and_changes_nothing(operator: Operator) -> None:
    assert operator.call("GetStage", {"arn": STAGE_ARN}, role="reader").status_code == 200
    for name in ("DeleteStage", "UpdateStage"):
        status, error, body = answer(operator.call(name, {"arn": STAGE_ARN}, role="reader"))
        assert (status, error) == (403, "AccessDeniedException")
        assert f"is not authorized to perform: ivs:{name}" in body["message"]
    created = operator.call("CreateIngestConfiguration", {"ingestProtocol": "RTMPS"}).json()["ingestConfiguration"]
    for role, status_code in (("reader", 403), ("operator", 200)):
        shown = operator.call("GetIngestConfiguration", {"arn": created["arn"]}, role=role)
        assert (shown.status_code, created["streamKey"] in shown.text) == (status_code, role == "operator")

"""Requests to a server that curl and botocore's signer have signed, and the policies of their access keys."""

import json
import subprocess
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.server import ACCOUNT_ID, REGION, Key, RunningServer
from tests.e2e.watch.conftest import IVS_ONLY, WATCH_ONLY

OPERATION = "/watch/v1/operations/ListStages"


def curl(server: RunningServer, path: str, *arguments: str, service: str = "stagebook", key: Key | None = None) -> Any:  # noqa: ANN401 - JSON
    """Send a request with curl, which signs it; return the JSON of the response."""
    key = key or server.key
    command = ["curl", "--silent", "--aws-sigv4", f"aws:amz:{REGION}:{service}"]
    command += ["--user", f"{key.access_key_id}:{key.secret_access_key}", *arguments, server.endpoint_url + path]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)


def botocore(
    server: RunningServer, method: str, path: str, body: bytes = b"", *, service: str = "stagebook", key: Key
) -> httpx.Response:
    """Send a request that botocore signs."""
    url = server.endpoint_url + path
    request = AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(key.access_key_id, key.secret_access_key), service, REGION).add_auth(request)
    return httpx.request(method, url, content=body, headers=dict(request.headers.items()), timeout=30)


@pytest.mark.parametrize("service", ["stagebook", "ivs"])
def test_curl_signs_requests(server: RunningServer, service: str) -> None:
    shown = curl(server, "/watch/v1/me", service=service)
    assert (shown["accountId"], shown["method"]) == (ACCOUNT_ID, "signature")
    listed = curl(server, OPERATION, "--json", '{"maxResults": 5}', service=service)
    assert "stages" in listed


def test_curl_signs_a_query(server: RunningServer) -> None:
    problem = curl(server, "/watch/v1/me?a=1&b=2")
    assert (problem["status"], problem["code"]) == (400, "INVALID_PARAMETER")


@pytest.mark.parametrize("service", ["stagebook", "ivs"])
def test_botocore_signs_requests(server: RunningServer, service: str) -> None:
    response = botocore(server, "GET", "/watch/v1/me", service=service, key=server.key)
    assert response.json()["method"] == "signature"
    response = botocore(server, "POST", OPERATION, b"{}", service=service, key=server.key)
    assert response.status_code == 200


def test_a_policy_for_ivs_alone_gives_no_access(server: RunningServer) -> None:
    response = botocore(server, "GET", "/watch/v1/me", key=IVS_ONLY)
    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
    assert "not authorized to perform: stagebook:GetCaller" in response.json()["detail"]


def test_a_policy_for_this_api_alone_gives_no_operation_of_the_aws_api(server: RunningServer) -> None:
    assert botocore(server, "GET", "/watch/v1/me", key=WATCH_ONLY).status_code == 200
    response = botocore(server, "POST", OPERATION, b"{}", key=WATCH_ONLY)
    assert (response.status_code, response.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")


def test_a_wrong_signature_is_refused(server: RunningServer) -> None:
    wrong = Key(access_key_id=server.key.access_key_id, secret_access_key="another secret")
    response = botocore(server, "GET", "/watch/v1/me", key=wrong)
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHENTICATED")

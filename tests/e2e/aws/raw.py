"""Requests that no SDK would send: signed by botocore's signer, sent as they are."""

import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from unittest.mock import patch

import botocore.auth
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.server import REGION, Key, RunningServer

JSON = {"Content-Type": "application/json"}
_NO_TLS = ssl.create_default_context()  # made once: httpx would make one for every request


def signed_headers(
    method: str, url: str, body: bytes, *, key: Key, headers: Mapping[str, str] = JSON, at: datetime | None = None
) -> dict[str, str]:
    """Return the headers of a request signed for IVS in this server's region, now or at another time."""
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    signer = SigV4Auth(Credentials(key.access_key_id, key.secret_access_key), "ivs", REGION)
    if at is None:
        signer.add_auth(request)
    else:
        with patch.object(botocore.auth, "get_current_datetime", return_value=at):
            signer.add_auth(request)
    return dict(request.headers.items())


def send(
    server: RunningServer, path: str, body: bytes, *, method: str = "POST", at: datetime | None = None
) -> httpx.Response:
    """Send a signed request with this body and return the answer, whatever it is."""
    url = server.endpoint_url + path
    headers = signed_headers(method, url, body, key=server.key, at=at)
    return httpx.request(method, url, content=body, headers=headers, timeout=30, verify=_NO_TLS)


def assert_refused(answer: httpx.Response, *, status: int, code: str, naming: str = "") -> dict[str, Any]:
    """Expect a refusal in the form of this service: the code in the header, the text twice in the body."""
    assert (answer.status_code, answer.headers.get("x-amzn-errortype")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amzn-requestid"]
    body: dict[str, Any] = answer.json()
    assert body["message"] == body["exceptionMessage"]
    assert naming in body["message"]
    return body

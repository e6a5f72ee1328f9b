"""HTTP requests that no SDK would send, signed by botocore's signer."""

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
_TLS_CONTEXT = ssl.create_default_context()  # created once, since httpx would create one for every request


def signed_headers(
    method: str, url: str, body: bytes, *, key: Key, headers: Mapping[str, str] = JSON, at: datetime | None = None
) -> dict[str, str]:
    """Return the headers of a request with a signature for IVS in the server's region, made now or at the time `at`."""
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
    """Send a signed request with this body and return the response, whatever its status."""
    url = server.endpoint_url + path
    headers = signed_headers(method, url, body, key=server.key, at=at)
    return httpx.request(method, url, content=body, headers=headers, timeout=30, verify=_TLS_CONTEXT)


def assert_refused(response: httpx.Response, *, status: int, code: str, naming: str = "") -> dict[str, Any]:
    """Assert that a response is an error in the form of this service, and return its body.

    The code is in a header and the message is in two members of the body. `naming` must occur in the message.
    """
    assert (response.status_code, response.headers.get("x-amzn-errortype")) == (status, code), response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-amzn-requestid"]
    body: dict[str, Any] = response.json()
    assert body["message"] == body["exceptionMessage"]
    assert naming in body["message"]
    return body

"""A real server with `--testing`, and the requests of a test to its testing API."""

from functools import cache
from typing import Any, Self

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.serving import ServerProcess

LINGER_SECONDS = 30
"""How long a session stays open after its last participant, in the server of the fixture `controlled`."""


@cache
def _session() -> boto3.Session:
    """One for all clients: each session would read the service model again."""
    return boto3.Session()


class ControlledServer:
    """The testing API of a running server."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.http = httpx.Client(base_url=f"{server.url}/testing/v1", timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.http.close()

    def get(self, path: str) -> Any:  # noqa: ANN401 - a JSON document
        """Return the document of a GET request, which must succeed."""
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, **members: object) -> Any:  # noqa: ANN401 - a JSON document
        """Return the document of a POST request, which must succeed."""
        response = self.http.post(path, json=members)
        assert response.status_code in {200, 201}, response.text
        return response.json()

    def put(self, path: str, **members: object) -> Any:  # noqa: ANN401 - a JSON document
        """Return the document of a PUT request, which must succeed."""
        response = self.http.put(path, json=members)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, path: str, **members: object) -> tuple[int, str]:
        """Return the status and the detail of a POST request, which must fail."""
        response = self.http.post(path, json=members)
        assert response.headers["content-type"] == "application/problem+json"
        return response.status_code, response.json()["detail"]

    def client(self, account: dict[str, str] | None = None, *, attempts: int = 1) -> Any:  # noqa: ANN401 - boto3's
        """Return a boto3 client with a key of the account, by default of a fresh one."""
        key = account or self.post("/accounts")
        make: Any = _session().client  # boto3-stubs accept only literal arguments
        return make(
            "ivs-realtime",
            endpoint_url=self.server.url,
            region_name="us-west-2",
            aws_access_key_id=key["accessKeyId"],
            aws_secret_access_key=key["secretAccessKey"],
            config=Config(retries={"total_max_attempts": attempts}),
        )

    def signed(
        self,
        method: str,
        path: str,
        account: dict[str, str],
        *,
        body: bytes = b"",
        service: str = "ivs",
        timeout_seconds: float = 30.0,
    ) -> httpx.Response:
        """Send a request to the server that the key of an account has signed."""
        request = AWSRequest(method=method, url=f"{self.server.url}{path}", data=body)
        key = Credentials(account["accessKeyId"], account["secretAccessKey"])
        SigV4Auth(key, service, "us-west-2").add_auth(request)
        return self.http.request(
            method, f"{request.url}", headers=dict(request.headers), content=body, timeout=timeout_seconds
        )

"""Scrapes of a server that asks this machine for credentials."""

from pathlib import Path

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.server import REGION, run_server
from tests.e2e.watch.bearer import create_key, get

NOWHERE = "192.0.2.0/24"


def test_outside_the_networks_a_scrape_needs_a_key_or_a_signature(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", metrics_networks=NOWHERE) as server:
        url = f"{server.endpoint_url}/metrics"
        assert httpx.get(url).status_code == 401
        by_key = get(server, "/metrics", key=create_key(server, "reader"))
        request = AWSRequest(method="GET", url=url)
        credentials = Credentials(server.key.access_key_id, server.key.secret_access_key)
        SigV4Auth(credentials, "stagebook", REGION).add_auth(request)
        signed = httpx.get(url, headers=dict(request.headers))
    for response in (by_key, signed):
        assert (response.status_code, "stagebook_build_info" in response.text) == (200, True)

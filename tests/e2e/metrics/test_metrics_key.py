"""A scrape of a server that asks this machine for a key."""

from pathlib import Path

import httpx

from tests.e2e.server import run_server
from tests.e2e.watch.bearer import create_key, get


def test_outside_the_networks_a_scrape_needs_a_key(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", metrics_networks="192.0.2.0/24") as server:
        assert httpx.get(f"{server.endpoint_url}/metrics").status_code == 401
        response = get(server, "/metrics", key=create_key(server, "reader"))
        assert (response.status_code, "stagebook_build_info" in response.text) == (200, True)

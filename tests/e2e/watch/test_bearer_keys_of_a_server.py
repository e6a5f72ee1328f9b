"""Bearer keys of a running server, made and revoked by the command line."""

from pathlib import Path

import pytest

from tests.e2e.server import ACCOUNT_ID, REGION, RunningServer, ServerFailedError, start_server
from tests.e2e.watch.bearer import create_key, revoke_key, wait_for_status


def test_a_running_server_notices_new_and_revoked_keys(server: RunningServer) -> None:
    key = create_key(server, "reader", "--name", "dashboard")
    shown = wait_for_status(server, "/watch/v1/me", key=key, status=200).json()
    assert (shown["accountId"], shown["region"], shown["endpointUrl"]) == (ACCOUNT_ID, REGION, server.endpoint_url)
    revoke_key(server, key)
    problem = wait_for_status(server, "/watch/v1/me", key=key, status=401)
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.headers["www-authenticate"].startswith("Bearer")
    assert key not in server.log


def test_a_damaged_file_of_keys_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    keys = folder / "bearer-keys.json"
    keys.touch(mode=0o600)
    with pytest.raises(ServerFailedError, match=r"bearer-keys\.json is damaged"):
        start_server(folder)

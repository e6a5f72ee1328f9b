"""Fixtures: one server for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ACCOUNT_ID, Key, RunningServer, run_server

IVS_ONLY = Key(access_key_id="AKIAIVSONLY000000001", secret_access_key="the secret of ivs-only")
WATCH_ONLY = Key(access_key_id="AKIAWATCHONLY0000001", secret_access_key="the secret of watch-only")

CONFIG = f"""
[[credentials]]
access_key_id = "{IVS_ONLY.access_key_id}"
secret_access_key = "{IVS_ONLY.secret_access_key}"
account_id = "{ACCOUNT_ID}"
policy.Statement = [{{ Effect = "Allow", Action = "ivs:*", Resource = "*" }}]

[[credentials]]
access_key_id = "{WATCH_ONLY.access_key_id}"
secret_access_key = "{WATCH_ONLY.secret_access_key}"
account_id = "{ACCOUNT_ID}"
policy.Statement = [{{ Effect = "Allow", Action = "stagebook:*", Resource = "*" }}]
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with an empty book, and with access keys of restricted policies."""
    folder: Path = tmp_path_factory.mktemp("watch")
    config = folder / "stagebook.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with run_server(folder / "data", config=config) as running:
        yield running
    assert "level=error" not in running.log, "a request caused an error inside the server"

"""The commands of docs/recording.md and docs/composition.md work as written, where `stagebook serve` has its data."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.testing import StagebookServer
from tests.e2e.server import run_server
from tests.e2e.site.tutorial_blocks import Shell

pytestmark = pytest.mark.recording

DOCS = Path(__file__).parents[3] / "docs"


def block(language: str, start: str, *, page: str = "recording.md") -> str:
    """Return the block of a page with this start."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [body for kind, body in blocks if kind == language and body.lstrip().startswith(start)]
    return str(found)


def test_the_commands_of_the_page_on_compositions_work(tmp_path: Path) -> None:
    with run_server(tmp_path / "stagebook-data", flags="--testing") as server:
        shell = Shell(tmp_path, server.environment, endpoint_url=server.endpoint_url)
        try:
            shell.run(block("sh", "STORAGE_ARN="))
            tools = StagebookServer(url=server.endpoint_url, region="us-west-2", read_log=lambda: server.log)
            tools.participant(shell.run("echo $STAGE_ARN").strip(), user_id="ann").publish()
            shell.run(block("sh", "ENCODER_ARN=", page="composition.md"))
            state, prefix = shell.run(block("sh", "aws ivs-realtime get-composition", page="composition.md")).split()
        finally:
            shell.close()
        assert state == "ACTIVE"
        assert (tmp_path / "stagebook-data/recordings/shows" / prefix).is_dir()


def test_the_commands_of_the_page_on_recordings_work(tmp_path: Path) -> None:
    with run_server(tmp_path / "stagebook-data", flags="--testing") as server:
        shell = Shell(tmp_path, server.environment, endpoint_url=server.endpoint_url)
        try:
            shell.run(block("sh", "STORAGE_ARN="))
            stage_arn = shell.run("echo $STAGE_ARN").strip()
            tools = StagebookServer(url=server.endpoint_url, region="us-west-2", read_log=lambda: server.log)
            ann = tools.participant(stage_arn, user_id="ann")
            ann.publish()
            state, bucket, prefix = shell.run(block("sh", "SESSION_ID=")).split()
            assert (state, bucket) == ("ACTIVE", "shows")
            assert (tmp_path / "stagebook-data/recordings" / bucket / prefix).is_dir()
            listing, _ = block("sh", "stagebook events list").splitlines()
            assert "RECORDING_STARTED" in shell.run(listing)
            shell.run(block("sh", "stagebook webhooks add"))
            shell.run(block("sh", "find stagebook-data/recordings"))
        finally:
            shell.close()
        program = block("python", "import boto3")
        environment = {**server.environment, "PATH": "/usr/bin:/bin"}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)

"""`stagebook serve --temporary --until-stdin-ends`: a server that ends with its parent and leaves nothing behind."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.serving import DEADLINE_SECONDS, FREE_PORTS, clean_environment, run_command

COMMAND = (sys.executable, "-m", "stagebook", "serve", *FREE_PORTS)


def temporary_server(parent_folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "--testing", "--temporary", "--until-stdin-ends"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=clean_environment(TMPDIR=str(parent_folder)),
        text=True,
    )


def test_a_server_ends_with_its_standard_input_and_deletes_its_folder(tmp_path: Path) -> None:
    with temporary_server(tmp_path) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert "is listening on http://127.0.0.1:" in server.stdout.readline()
        assert [path.name for path in tmp_path.glob("stagebook-*/*.sqlite3")]
        server.stdin.close()
        server.stdout.read()
        assert server.wait(DEADLINE_SECONDS) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_answers_slow_requests_at_once(tmp_path: Path) -> None:
    with temporary_server(tmp_path) as server, ThreadPoolExecutor() as threads:
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, timeout=DEADLINE_SECONDS) as http:
            http.post("/testing/v1/faults", json={"operation": "Publish", "kind": "SLOW", "seconds": 300})
            slow = threads.submit(http.post, "/whip")
            while http.get("/testing/v1/faults").json()["faults"]:
                pass
            server.stdin.close()
            assert slow.result().status_code == 401
        server.stdout.read()
        assert server.wait(DEADLINE_SECONDS) == 0


def test_a_folder_of_another_server_is_not_deleted(tmp_path: Path) -> None:
    book = tmp_path / "book.sqlite3"
    book.write_bytes(b"")
    refused = run_command("serve", *FREE_PORTS, "--data", str(tmp_path), "--temporary")
    assert refused.returncode == 1
    assert "a temporary folder must be a new one" in refused.stderr
    assert book.exists()

"""The examples of the documentation site with the AWS SDK for JavaScript, each an ES module, in one Node.js process."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from contrib.site.example_calls import javascript_text
from contrib.site.reference_notes import Example
from tests.e2e.aws.test_javascript_sdk import SOURCES
from tests.e2e.server import RunningServer
from tests.e2e.site.example_sequence import (
    ExampleRefusedError,
    Json,
    OperationMissingError,
    assert_useful,
    published_media,
    run_examples,
)

NPM_TIMEOUT_SECONDS = 100

pytestmark = [pytest.mark.site, pytest.mark.timeout(300)]


@pytest.fixture
def installed(folder: Path) -> Path:
    """The folder with the installed SDK. Skips the test if Node.js or the package is not available."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed")
    shutil.copy(SOURCES / "package.json", folder)
    shutil.copy(Path(__file__).with_name("run_programs.mjs"), folder)
    command = [npm, "install", "--silent", "--no-audit", "--no-fund"]
    completed = subprocess.run(command, cwd=folder, timeout=NPM_TIMEOUT_SECONDS, capture_output=True, check=False)
    if completed.returncode != 0:
        pytest.skip(f"npm could not install the SDK: {completed.stderr.decode()[:200]}")
    return folder


@pytest.fixture
def node(server: RunningServer, installed: Path) -> Iterator["subprocess.Popen[str]"]:
    """The Node.js process."""
    with subprocess.Popen(
        ["node", "run_programs.mjs"],
        cwd=installed,
        env=server.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_every_example_runs(server: RunningServer, installed: Path, node: "subprocess.Popen[str]") -> None:
    def run_program(example: Example, values: Mapping[str, str]) -> Json:
        path = installed / f"{example.operation}.mjs"
        path.write_text(javascript_text(example, values), encoding="utf-8")
        assert node.stdin is not None
        assert node.stdout is not None
        node.stdin.write(f"{path}\n")
        node.stdin.flush()
        result = json.loads(node.stdout.readline())
        if result.get("error") == "SyntaxError" and f"{example.operation}Command" in result["message"]:
            raise OperationMissingError(example.operation)
        if "error" in result:
            raise ExampleRefusedError(result["error"])
        return result["logged"]

    _, responses = run_examples(server, run_program, partial(published_media, server))
    assert_useful(responses)

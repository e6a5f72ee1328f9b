"""The examples of the documentation site with the AWS CLI, as a user pastes them into a shell."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from contrib.site.example_calls import cli_text
from contrib.site.reference_notes import Example
from tests.e2e.server import RunningServer
from tests.e2e.site.example_sequence import (
    ExampleRefusedError,
    Json,
    OperationMissingError,
    assert_useful,
    published_media,
    run_examples,
)

TIMEOUT_SECONDS = 60

_CODE = re.compile(r"An error occurred \((\w+)\)")

pytestmark = [pytest.mark.site, pytest.mark.timeout(400)]


def test_every_example_runs(server: RunningServer, folder: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**server.environment, "PATH": programs, "AWS_PAGER": ""}

    def run_command(example: Example, values: Mapping[str, str]) -> Json:
        completed = subprocess.run(
            ["/bin/sh", "-c", cli_text(example, values)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if "invalid choice" in completed.stderr.lower():
            raise OperationMissingError(example.operation)
        if completed.returncode != 0:
            refusal = _CODE.search(completed.stderr)
            raise ExampleRefusedError(refusal.group(1) if refusal else completed.stderr)
        return json.loads(completed.stdout) if completed.stdout else {}

    _, responses = run_examples(server, run_command, partial(published_media, server))
    assert_useful(responses)

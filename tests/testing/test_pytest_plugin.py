"""The fixtures of the pytest plugin, in the project of a user."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = "stagebook.testing.pytest_plugin"
PROJECT = """
import os
import pytest
from stagebook.testing import StagebookServer

seen = set()

def names(ivs):
    return [stage["name"] for stage in ivs.list_stages()["stages"]]

@pytest.mark.parametrize("number", range(4))
def test_each_test_has_an_account_of_its_own(ivs, stagebook_account, number):
    assert names(ivs) == []
    ivs.create_stage(name=f"show-{number}")
    assert stagebook_account.account_id not in seen
    seen.add(stagebook_account.account_id)

def test_the_fixture_hides_no_package(stagebook):
    import stagebook.testing
    assert stagebook.testing.serve

def test_the_server_is_the_fixture(stagebook):
    assert isinstance(stagebook, StagebookServer)
    print("server", stagebook.url)

def test_code_of_the_application_finds_the_server(stagebook_environment):
    import boto3
    assert names(boto3.client("ivs-realtime")) == []

def test_the_environment_is_as_before():
    assert "AWS_ENDPOINT_URL_IVS_REALTIME" not in os.environ

def test_a_fault_and_a_frozen_clock_are_left(stagebook, ivs):
    stagebook.fault("ListStages", "ACCESS_DENIED", times=100)
    stagebook.clock.freeze()

def test_and_are_gone_in_the_next_test(stagebook, ivs):
    assert names(ivs) == []
    assert not stagebook.clock.is_frozen
"""


def run_project(folder: Path, *arguments: str) -> str:
    """Run the tests of the project; return the output of pytest. Temporary folders are below `temporary`."""
    project, temporary = folder / "project", folder / "temporary"
    project.mkdir()
    temporary.mkdir()
    (project / "test_project.py").write_text(PROJECT, encoding="utf-8")
    (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            PLUGIN,
            "-W",
            "error",
            "-rP",
            *arguments,
        ],
        cwd=project,
        # Other plugins take longer to load than these tests to run.
        env=variables | {"TMPDIR": str(temporary), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in temporary.iterdir() if path.name.startswith("stagebook")] == []
    return done.stdout


def test_the_fixtures_of_a_project(tmp_path: Path) -> None:
    output = run_project(tmp_path, "-p", "no:randomly")
    assert "10 passed" in output
    assert len(re.findall(r"^server http://127\.0\.0\.1:\d+$", output, re.MULTILINE)) == 1


@pytest.mark.package
def test_the_workers_of_xdist_have_a_server_each(tmp_path: Path) -> None:
    assert "10 passed" in run_project(tmp_path, "-p", "xdist", "-n", "2")

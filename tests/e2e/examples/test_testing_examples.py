"""The examples of tests: each is run as its README says, with the command `stagebook` of this environment."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.examples.example_backends import (
    BUILD_TIMEOUT_SECONDS,
    TESTING_JAVA,
    TESTING_TYPESCRIPT,
    TESTING_WITH_STAND_IN,
    BackendUnavailableError,
    ExampleBackend,
    build,
)

TESTING_PYTHON = ExampleBackend(
    folder="testing-python",
    programs=(sys.executable,),
    run_command=(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"),
)


def run(example: ExampleBackend, folder: Path) -> str:
    """Run the tests of an example in a copy of it; return their output. Skips where a program or package is missing."""
    try:
        built = build(example, folder)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    is_replaced = example is TESTING_JAVA and built.missing is not None
    done = subprocess.run(
        TESTING_WITH_STAND_IN if is_replaced else example.run_command,
        cwd=built.folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        timeout=BUILD_TIMEOUT_SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tests_of_the_python_application_pass(tmp_path: Path) -> None:
    passed = re.search(r"(\d+) passed", run(TESTING_PYTHON, tmp_path))
    assert passed is not None
    # Twelve events, two of them in one test, fourteen error codes, and the application's own.
    assert int(passed[1]) >= 11 + 14 + 10


@pytest.mark.examples
def test_the_tests_in_typescript_pass(tmp_path: Path) -> None:
    assert "# pass 3\n" in run(TESTING_TYPESCRIPT, tmp_path)


@pytest.mark.examples
def test_the_tests_in_java_pass(tmp_path: Path) -> None:
    run(TESTING_JAVA, tmp_path)
    (report,) = (tmp_path / TESTING_JAVA.folder / "target" / "surefire-reports").glob("TEST-*.xml")
    assert re.search(
        r'<testsuite [^>]*tests="3" errors="0" skipped="0" failures="0"', report.read_text(encoding="utf-8")
    )

"""An environment of its own into which the wheel is installed, as a user installs it."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.serving import clean_environment

CONSTRAINTS = Path(__file__).parents[3] / "constraints" / "development.txt"
DEADLINE_SECONDS = 600
"""An index may be slow. On a warm cache an installation takes half a minute."""


class InstalledPackage:
    """A virtual environment at `folder`, empty but for pip until `install` is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=DEADLINE_SECONDS)

    def install(self, *requirements: str) -> None:
        """Install packages with pip, in the pinned versions. Raises AssertionError with pip's messages."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
            constraints.write(versions_without_hashes(CONSTRAINTS.read_text(encoding="utf-8")))
            constraints.flush()
            self.run("python", "-m", "pip", "install", "--quiet", "--constraint", constraints.name, *requirements)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a shell in which this environment is active."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "VIRTUAL_ENV": str(self.folder), "AWS_EC2_METADATA_DISABLED": "true"}
        foreign = ("PYTHON", "COVERAGE")
        clean = {name: value for name, value in clean_environment().items() if not name.startswith(foreign)}
        return clean | own | variables

    def run(self, program: str, *arguments: str, cwd: Path | None = None, **variables: str) -> str:
        """Run a program of the environment; return its output. Raises AssertionError if it fails."""
        return run_checked([str(self.folder / "bin" / program), *arguments], self.environment(**variables), cwd=cwd)


def run_checked(command: Sequence[str], environment: dict[str, str], *, cwd: Path | None = None) -> str:
    """Run a command to its end; return its output. Raises AssertionError with the output if it fails."""
    ended = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert ended.returncode == 0, f"{command} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def versions_without_hashes(constraints: str) -> str:
    """Return a constraints file without its hashes: pip would demand one of the wheel that is tested, too."""
    return re.sub(r"(?: \\\n +--hash=\S+)+", "", constraints)

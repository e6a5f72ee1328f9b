"""The backends of `examples/`: how each is built and started.

A backend is built in a copy of its folder, so nothing is left in the repository. npm, Go and Maven have caches of their
own for what they download. Where a registry does not have the SDK's package for IVS Real-Time, a *stand-in* takes its
place: a package with the same names, in this folder, on the SDK's own configuration and signatures.
"""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

EXAMPLES = Path(__file__).parents[3] / "examples"
HERE = Path(__file__).parent
BUILD_TIMEOUT_SECONDS = 300
ORIGIN = "http://127.0.0.1:1"
"""The origin whose pages may call the backends of the tests."""

Command: TypeAlias = tuple[str, ...]

_LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)\n")


class BackendUnavailableError(Exception):
    """A backend cannot be built here: a program or a package is missing. The message says which."""


class ExampleBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend: the programs that it needs, the commands that build it, and the command that runs it."""

    folder: str
    programs: tuple[str, ...]
    requirement: Command = ()
    """Fails where the programs are too old."""
    download: Command = ()
    """Brings the packages. If it fails, the registry does not have them or cannot be reached."""
    stand_in: str | None = None
    """The folder beside this module with the stand-in, which is copied beside the example."""
    stand_in_download: Command = ()
    """Brings the packages with the stand-in. If it fails, the registry cannot be reached."""
    build_commands: tuple[Command, ...] = ()
    """They must not fail."""
    stand_in_build_commands: tuple[Command, ...] = ()
    """Build the backend with the stand-in. They run in the folder of the example, and must not fail, either."""
    run_command: Command


class BuiltBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend that can be run. `missing` says why it has the stand-in, if it has."""

    backend: ExampleBackend
    folder: Path
    missing: str | None


PYTHON = ExampleBackend(
    folder="backend-python", programs=(sys.executable,), run_command=(sys.executable, "-W", "error", "stage_backend.py")
)
TYPESCRIPT = ExampleBackend(
    folder="backend-typescript",
    programs=("node", "npm"),
    download=("npm", "ci", "--no-audit", "--no-fund"),
    build_commands=(("npm", "run", "check"), ("npm", "run", "build")),
    run_command=("node", "dist/stage_backend.js"),
)
TESTING_TYPESCRIPT = ExampleBackend(
    folder="testing-typescript",
    programs=("node", "npm"),
    download=("npm", "ci", "--no-audit", "--no-fund"),
    run_command=("npm", "test"),
)
_GO_PACKAGE = "github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
_GO_BUILD = (("go", "vet", "."), ("go", "build", "."))
GO = ExampleBackend(
    folder="backend-go",
    programs=("go",),
    download=("go", "mod", "tidy"),
    stand_in="go_sdk",
    stand_in_download=("go", "-C", "../go_sdk", "mod", "tidy"),
    build_commands=_GO_BUILD,
    stand_in_build_commands=(
        ("go", "mod", "edit", f"-replace={_GO_PACKAGE}=../go_sdk"),
        ("go", "mod", "tidy"),
        *_GO_BUILD,
    ),
    run_command=("./stagebackend",),
)
_MAVEN = ("mvn", "--quiet", "--batch-mode")
JAVA = ExampleBackend(
    folder="backend-java",
    programs=("java", "javac", "mvn"),
    requirement=("javac", "--release", "17", "-version"),
    download=(*_MAVEN, "dependency:resolve"),
    build_commands=((*_MAVEN, "package"),),
    stand_in="java_sdk",
    stand_in_download=(*_MAVEN, "--file", "../java_sdk/client/pom.xml", "dependency:resolve"),
    stand_in_build_commands=(
        (sys.executable, str(HERE / "java_client_source.py"), "../java_sdk/client/src/main/java"),
        (*_MAVEN, "--file", "../java_sdk/pom.xml", "package"),
    ),
    run_command=("java", "-jar", "target/stage-backend.jar"),
)

TESTING_JAVA = ExampleBackend(
    folder="testing-java",
    programs=JAVA.programs,
    requirement=JAVA.requirement,
    download=JAVA.download,
    stand_in=JAVA.stand_in,
    stand_in_download=JAVA.stand_in_download,
    stand_in_build_commands=JAVA.stand_in_build_commands[:1],
    run_command=(*_MAVEN, "test"),
)
TESTING_WITH_STAND_IN = (*_MAVEN, "--file", "../java_sdk/pom.xml", "-Dexample=testing-java", "test")
"""Runs the tests in Java with the stand-in."""


def build(backend: ExampleBackend, folder: Path) -> BuiltBackend:
    """Build a backend below a folder.

    Raises BackendUnavailableError if a program or a package is missing, and AssertionError if a command fails.
    """
    if missing := [program for program in backend.programs if shutil.which(program) is None]:
        raise BackendUnavailableError(f"not installed: {', '.join(missing)}")
    built = folder / backend.folder
    ignored = shutil.ignore_patterns("node_modules", "dist", "target", ".venv", "__pycache__")
    shutil.copytree(EXAMPLES / backend.folder, built, ignore=ignored)
    if failure := _failure(backend.requirement, built):
        raise BackendUnavailableError(f"{' '.join(backend.requirement)} failed: {failure}")
    failure = _failure(backend.download, built)
    if failure and backend.stand_in is None:
        raise BackendUnavailableError(f"{' '.join(backend.download)} failed: {failure}")
    commands = backend.build_commands
    if failure and backend.stand_in is not None:
        shutil.copytree(HERE / backend.stand_in, folder / backend.stand_in)
        if second_failure := _failure(backend.stand_in_download, built):
            raise BackendUnavailableError(f"{' '.join(backend.stand_in_download)} failed: {second_failure}")
        commands = backend.stand_in_build_commands
    for command in commands:
        error = _failure(command, built)
        assert not error, f"{' '.join(command)}: {error}"
    return BuiltBackend(backend=backend, folder=built, missing=failure[:400] or None)


def _failure(command: Command, folder: Path) -> str:
    """Run a command. Returns the end of what it said if it failed, or nothing."""
    if not command:
        return ""
    try:
        done = subprocess.run(
            command, cwd=folder, timeout=BUILD_TIMEOUT_SECONDS, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {BUILD_TIMEOUT_SECONDS} s"
    return (done.stdout + done.stderr)[-2_000:] or f"exit code {done.returncode}" if done.returncode else ""


@contextlib.contextmanager
def running(built: BuiltBackend, environment: Mapping[str, str], *, origin: str = ORIGIN) -> Iterator[str]:
    """Run a built backend on a free port, for pages of an origin. Yields its URL.

    Raises AssertionError if it does not say where it listens. Its log goes to the output of the test.
    """
    variables = {**environment, "PORT": "0", "ALLOWED_ORIGIN": origin}
    variables.pop("AWS_DEFAULT_REGION", None)  # AWS_REGION is enough
    process = subprocess.Popen(
        built.backend.run_command, cwd=built.folder, env=variables, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = _LISTENING.fullmatch(line)
        assert found, line
        yield found[1]
    finally:
        process.kill()
        process.communicate()

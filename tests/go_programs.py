"""Servers for tests that no package has: `go install` builds each of them once into a cache.

    python -m tests.go_programs     builds those that are missing, or prints why it cannot

A test that needs one builds it as well. But a build takes minutes of processor time, in which other tests that wait for
real time fail, so build them before the tests.
"""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec
import pytest

_BUILD_TIMEOUT_SECONDS: Final = 1_500
"""Four times what the longest build takes on two idle cores."""


class NotBuiltError(Exception):
    """A program is not there and cannot be built. The message says why."""


class GoProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A command of a module in Go."""

    name: str
    module: str
    """The path of the command's package."""
    version: str
    min_go: tuple[int, int]
    """The version of Go that the module demands."""

    @property
    def path(self) -> Path:
        """The path of the program in the cache, whether it is there or not."""
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return caches / "stagebook-tests" / f"{self.name}-{self.version}" / self.name

    def build(self) -> Path:
        """Return the path of the program; build it if it is not there. Raises NotBuiltError."""
        if self.path.exists():
            return self.path
        go = self._usable_go()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # Of several processes, one builds and the others wait.
            if not self.path.exists():
                self._install(go)
        return self.path

    def _usable_go(self) -> str:
        needed = ".".join(map(str, self.min_go))
        go = shutil.which("go")
        if go is None:
            raise NotBuiltError(f"{self.name} is built by Go {needed} or newer, which is not on the path")
        answer = subprocess.run((go, "env", "GOVERSION"), capture_output=True, text=True, check=False, timeout=60)
        version = re.match(r"go(\d+)\.(\d+)", answer.stdout)
        if version is None or (int(version[1]), int(version[2])) < self.min_go:
            raise NotBuiltError(f"{self.name} needs Go {needed} or newer; here is {answer.stdout.strip() or 'none'}")
        return go

    def _install(self, go: str) -> None:
        """Build the program. It appears under its name when it is complete."""
        folder = self.path.parent / "building"
        command = (go, "install", f"{self.module}@{self.version}")
        environment = {**os.environ, "GOBIN": str(folder), "GOTOOLCHAIN": "local"}
        try:
            subprocess.run(
                command, check=True, env=environment, timeout=_BUILD_TIMEOUT_SECONDS, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired as error:
            raise NotBuiltError(f"{self.name} was not built within {_BUILD_TIMEOUT_SECONDS} s") from error
        except subprocess.CalledProcessError as error:
            raise NotBuiltError(f"{self.name} cannot be built: {error.stderr.strip()[-500:]}") from error
        # `go install` names it by the last part of the package's path.
        (folder / self.module.rpartition("/")[2]).rename(self.path)


S3_SERVER: Final = GoProgram(
    name="versitygw", module="github.com/versity/versitygw/cmd/versitygw", version="v1.8.0", min_go=(1, 25)
)
"""An S3 server that keeps buckets in a folder. A build takes about 130 s of processor time."""

LIVEKIT: Final = GoProgram(
    name="livekit-server",
    module="github.com/livekit/livekit-server/cmd/server",
    version="v1.13.5",
    min_go=(1, 26),
)
"""LiveKit's server. A build takes about 350 s of processor time, and 1.3 GB in the caches of Go."""


def required(program: GoProgram) -> Path:
    """Return the path of a program that a test needs. Skips the test with the reason if it cannot be built."""
    try:
        return program.build()
    except NotBuiltError as error:
        pytest.skip(str(error))


def main() -> None:
    """Build all programs."""
    for program in (S3_SERVER, LIVEKIT):
        try:
            program.build()
        except NotBuiltError as error:
            print(f"{error}. Its tests will be skipped.")


if __name__ == "__main__":
    main()

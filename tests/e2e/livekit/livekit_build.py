"""The program of a real LiveKit server, which `go install` builds once into the cache of the tests.

The module proxy of Go has the source of each release. A build takes about 350 s of CPU time and 1.3 GB in the caches of
Go. Later runs use the program, so they need neither Go nor a network.
"""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

VERSION: Final = "v1.13.5"
MODULE: Final = f"github.com/livekit/livekit-server/cmd/server@{VERSION}"
MIN_GO: Final = (1, 26)
"""What the module of this release demands."""
BUILD_TIMEOUT_SECONDS: Final = 1_500
"""Four times what a build takes on two idle cores."""


def livekit_program() -> Path:
    """Return the program of the server; build it if it is not there.

    Skips the test with the reason if that is impossible: without Go, with an older one, or if the build fails.
    """
    program = built_program()
    if program.exists():
        return program
    go = _usable_go()
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Of several test processes, one builds and the others wait.
        if not program.exists():
            _build(go, program)
    return program


def built_program() -> Path:
    """Return the path of the program in the cache, whether it is there or not."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "stagebook-tests" / f"livekit-server-{VERSION}" / "livekit-server"


def _usable_go() -> str:
    go = shutil.which("go")
    if go is None:
        pytest.skip("needs Go, which builds LiveKit's server")
    answer = subprocess.run((go, "env", "GOVERSION"), capture_output=True, text=True, check=False, timeout=60).stdout
    version = re.match(r"go(\d+)\.(\d+)", answer)
    if version is None or (int(version[1]), int(version[2])) < MIN_GO:
        needed = ".".join(map(str, MIN_GO))
        pytest.skip(f"LiveKit {VERSION} needs Go {needed} or newer; here is {answer.strip() or 'an unknown version'}")
    return go


def _build(go: str, program: Path) -> None:
    """Build the program. It appears under its name when it is complete."""
    folder = program.parent / "building"
    environment = {**os.environ, "GOBIN": str(folder), "GOTOOLCHAIN": "local"}
    command = (go, "install", MODULE)
    try:
        subprocess.run(
            command, check=True, env=environment, timeout=BUILD_TIMEOUT_SECONDS, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"LiveKit's server was not built within {BUILD_TIMEOUT_SECONDS} s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"LiveKit's server cannot be built: {error.stderr.strip()[-500:]}")
    (folder / "server").rename(program)

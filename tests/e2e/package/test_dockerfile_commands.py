"""The commands of the Dockerfile, run on this machine: no container engine is needed.

The first stage is run in a folder that has what it copies, with another place for /opt/stagebook. Then the entry point
is started with the variables of the image, and the health check asks it.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contrib.dockerfile import BUILD, ROOT, RUN_TIME, all_of, dockerfile
from tests.contrib.test_dockerfile import container_environment
from tests.e2e.package.installed_package import DEADLINE_SECONDS, run_checked
from tests.serving import clean_environment

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]

INSTALLATION = "/opt/stagebook"


@pytest.fixture(name="installation", scope="module")
def installation_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage installs."""
    source, installation = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image") / "stagebook"
    for instruction in dockerfile():
        if instruction.stage == BUILD and instruction.keyword == "COPY":
            *sources, target = instruction.value.split()
            for name in sources:
                copy(ROOT / name, source / (name if target == "./" else target))
        elif instruction.stage == BUILD and instruction.keyword == "RUN":
            # The cache of pip is used, so that a test run does not download everything again.
            command = instruction.value.replace(INSTALLATION, str(installation)).replace("--no-cache-dir ", "")
            words = [sys.executable if word == "python" else word for word in command.split()]
            run_checked(words, clean_environment(), cwd=source)
    return installation


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copy(source, target)


def image_environment(installation: Path, data: Path) -> dict[str, str]:
    """Return the variables of the image, with free ports and a folder of this test."""
    (environment,) = all_of("ENV", stage=RUN_TIME)
    free = {f"STAGEBOOK_{name}": "127.0.0.1:0" for name in ("LISTEN", "RTMP_LISTEN", "RTMPS_LISTEN")}
    path = f"{installation / 'bin'}:/usr/bin:/bin"
    own = {"PATH": path, "STAGEBOOK_DATA": str(data), "STAGEBOOK_MEDIA_PORT": "0", "STAGEBOOK_MEDIA_BIND": "127.0.0.1"}
    return clean_environment(**environment.pairs() | free | own)


@pytest.fixture(name="server_url", scope="module")
def server_url_fixture(installation: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server as the entry point starts it. It must not have written into the image."""
    before = files_below(installation)
    (entry_point,), (arguments,) = all_of("ENTRYPOINT", stage=RUN_TIME), all_of("CMD", stage=RUN_TIME)
    environment = image_environment(installation, tmp_path_factory.mktemp("volume") / "data")
    command = [str(installation / "bin" / entry_point.command()[0]), *arguments.command()]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process, process.stdout as lines:
        url = next((found[1] for line in lines if (found := re.search(r"is listening on (\S+)", line))), None)
        assert url is not None
        assert any("end  " in line for line in lines)
        yield url
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_SECONDS)
    assert process.returncode == 0
    assert files_below(installation) == before


def files_below(folder: Path) -> dict[str, int]:
    """Return the files in a folder with the times of their last change."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_the_health_check_succeeds_while_the_server_runs(installation: Path, server_url: str) -> None:
    assert run_health_check(installation, server_url) == 0


def test_the_health_check_fails_without_a_server(installation: Path) -> None:
    assert run_health_check(installation, "http://127.0.0.1:9") != 0


def run_health_check(installation: Path, url: str) -> int:
    """Run the health check of the image against another address; return its exit code."""
    (check,) = all_of("HEALTHCHECK", stage=RUN_TIME)
    port = container_environment()["STAGEBOOK_LISTEN"].rpartition(":")[2]
    program, *arguments = check.command()
    words = [word.replace(f"http://127.0.0.1:{port}", url) for word in arguments]
    command = [str(installation / "bin" / program), *words]
    return subprocess.run(command, env=clean_environment(), capture_output=True, check=False, timeout=60).returncode

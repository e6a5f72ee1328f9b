"""README's first session, with the installed wheel."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.package.installed_package import InstalledPackage, run_checked
from tests.e2e.package.readme_session import ANYTHING, README, DocumentedIds, readme_steps, shape_of

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]

README_ADDRESS = "http://127.0.0.1:8080"
SESSION_END_TIMEOUT_SECONDS = 20
FREE_PORTS = {f"STAGEBOOK_{name}": "127.0.0.1:0" for name in ("LISTEN", "RTMP_LISTEN", "RTMPS_LISTEN")}


@pytest.fixture(scope="module")
def server_folder(installed: InstalledPackage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which `stagebook serve` of the wheel runs."""
    folder = tmp_path_factory.mktemp("session")
    log = folder.with_suffix(".log")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(installed.folder / "bin" / "stagebook"), "serve"],
            cwd=folder,
            env=installed.environment(**FREE_PORTS),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    with process, process.stdout as lines:
        assert any("AWS clients" in line for line in lines), log.read_text(encoding="utf-8")
        yield folder
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def shell(installed: InstalledPackage, folder: Path, command: str) -> str:
    """Run a command in a shell that has read `stagebook env`; return its output."""
    script = f'set -e; eval "$(stagebook env)"; {command}'
    return run_checked(["bash", "-c", script], installed.environment(), cwd=folder)


def test_each_command_prints_what_readme_shows(installed: InstalledPackage, server_folder: Path) -> None:
    address = shell(installed, server_folder, 'printf %s "$AWS_ENDPOINT_URL_IVS_REALTIME"')
    ids, commands = DocumentedIds(), 0
    for step in readme_steps("A first session"):
        command, shown = ids.translate(step.command).replace(README_ADDRESS, address), shape_of(step.output)
        output = shell(installed, server_folder, command)
        deadline = time.monotonic() + SESSION_END_TIMEOUT_SECONDS
        # The session that it shows ends a second after its last participant left.
        while "list-stage-sessions" in command and shape_of(output) != shown and time.monotonic() < deadline:
            output = shell(installed, server_folder, command)
        ids.learn(step.output, output)
        if shown.endswith(ANYTHING):
            assert shape_of(output).startswith(shown.removesuffix(ANYTHING))
        elif shown:
            assert shape_of(output) == shown
        else:
            assert output or "eval" in step.command or "--output" in step.command
        commands += 1
    assert commands >= 8
    assert "LEFT" in (server_folder / "week.csv").read_text(encoding="utf-8")


def test_the_python_of_readme_runs_as_it_is(installed: InstalledPackage, server_folder: Path) -> None:
    session = README.read_text(encoding="utf-8").partition("\n## A first session\n")[2]
    (program,) = re.findall(r"^```python\n(.*?)^```$", session, re.MULTILINE | re.DOTALL)[:1]
    (server_folder / "readme.py").write_text(program, encoding="utf-8")
    output = shell(installed, server_folder, "python readme.py")
    assert re.fullmatch(r"arn:aws:ivs:\S+\nann \w{12} eyJ\S+\.\.\.\nbob \w{12} eyJ\S+\.\.\.\n", output)


def test_the_server_of_the_wheel_serves_the_console(installed: InstalledPackage, server_folder: Path) -> None:
    fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1] + '/console/').status)"
    assert shell(installed, server_folder, f'python -c "{fetch}" "$AWS_ENDPOINT_URL_IVS_REALTIME"') == "200\n"


def test_the_demo_of_the_wheel_needs_no_running_server(installed: InstalledPackage, tmp_path: Path) -> None:
    output = installed.run("stagebook", "demo", "--seconds", "2", cwd=tmp_path)
    assert "PUBLISH_STARTED" in output
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs_the_command_line(installed: InstalledPackage, tmp_path: Path) -> None:
    """In a folder without sources: the package is the installed one."""
    module = installed.run("python", "-m", "stagebook", "--version", cwd=tmp_path)
    assert module == installed.run("stagebook", "--version", cwd=tmp_path)
    assert module.startswith("stagebook ")


def test_the_doctor_of_the_wheel_finds_no_error(installed: InstalledPackage, tmp_path: Path) -> None:
    output = installed.run("stagebook", "doctor", cwd=tmp_path, **FREE_PORTS)
    assert "0 error" in output.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []

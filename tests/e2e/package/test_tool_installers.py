"""The wheel with pipx and uv, which install a program into an environment of its own."""

from pathlib import Path

import pytest

from tests.e2e.package.installed_package import InstalledPackage, run_checked

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> InstalledPackage:
    package = InstalledPackage(tmp_path_factory.mktemp("tools") / "venv")
    package.run("python", "-m", "pip", "install", "--quiet", "pipx", "uv")
    return package


def test_pipx_runs_the_command_of_the_wheel(tools: InstalledPackage, wheel: Path, tmp_path: Path) -> None:
    home = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    output = tools.run("pipx", "run", "--spec", str(wheel), "stagebook", "--version", cwd=tmp_path, **home)
    assert output.startswith("stagebook ")


def test_uv_installs_the_command_of_the_wheel(tools: InstalledPackage, wheel: Path, tmp_path: Path) -> None:
    folders = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    python = str(tools.folder / "bin" / "python")
    tools.run("uv", "tool", "install", "--python", python, str(wheel), cwd=tmp_path, **folders)
    assert run_checked([str(tmp_path / "bin" / "stagebook"), "--version"], tools.environment()).startswith("stagebook ")

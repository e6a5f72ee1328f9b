"""The pytest plugin of the wheel: its own tests and the example run as the project of a user, in a new environment."""

import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.package.installed_package import InstalledPackage

pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[3]
NOT_OF_A_USER = {"test_real_media.py"}
"""It uses clients of this repository."""
CONFIGURATION = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nmarkers = package\n"


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> InstalledPackage:
    package = InstalledPackage(tmp_path_factory.mktemp("testing") / "venv")
    package.install(f"{wheel}[testing]")
    return package


def test_the_tests_of_the_example_pass_with_nothing_but_the_extra(
    environment: InstalledPackage, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "testing-python", tmp_path / "project")
    output = environment.run("pytest", "-p", "no:cacheprovider", cwd=tmp_path / "project")
    assert passed(output) >= 11 + 14 + 10


def test_the_tests_of_the_plugin_pass_with_xdist(environment: InstalledPackage, tmp_path: Path) -> None:
    environment.install("pytest-asyncio", "pytest-xdist", "pytest-timeout")
    for path in (ROOT / "tests" / "testing").glob("test_*.py"):
        if path.name not in NOT_OF_A_USER:
            shutil.copy(path, tmp_path)
    (tmp_path / "pytest.ini").write_text(CONFIGURATION, encoding="utf-8")
    output = environment.run("pytest", "-p", "no:randomly", "--numprocesses", "2", cwd=tmp_path)
    assert passed(output) >= 60


def passed(output: str) -> int:
    """Return how many tests have passed."""
    found = re.search(r"(\d+) passed", output)
    return int(found[1]) if found is not None else 0

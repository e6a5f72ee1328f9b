"""Fixtures: the packages of the checkout, built once, and an environment with the wheel."""

from pathlib import Path

import pytest

from tests.e2e.package.installed_package import InstalledPackage
from tests.e2e.package.package_build import Packages, build_packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return build_packages(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def wheel(packages: Packages) -> Path:
    return packages.wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> InstalledPackage:
    """The wheel with its demo, and the AWS CLI, in an environment of their own."""
    package = InstalledPackage(tmp_path_factory.mktemp("installed") / "venv")
    package.install(f"{wheel}[demo]", "awscli")
    return package

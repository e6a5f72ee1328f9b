"""What is in the packages."""

import re
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

from stagebook.api.watch.console.console_files import read_assets
from tests.e2e.package.package_build import ROOT, Packages, build_packages, git_output

pytestmark = pytest.mark.package

ASSETS = "stagebook/api/watch/console/assets/"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def packed(wheel: Path) -> dict[str, bytes]:
    """The files of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(packed: dict[str, bytes]) -> Message:
    (name,) = (name for name in packed if name.endswith(".dist-info/METADATA"))
    return BytesParser().parsebytes(packed[name])


def test_the_wheel_has_the_files_of_the_console(packed: dict[str, bytes]) -> None:
    assets = {name.removeprefix(ASSETS): body for name, body in packed.items() if name.startswith(ASSETS)}
    assert assets == {name: file.body for name, file in read_assets().items()}


def test_the_wheel_has_all_files_of_the_package_and_no_others(packed: dict[str, bytes]) -> None:
    tracked = git_output("ls-files", "src")
    info = f"stagebook-{PROJECT['version']}.dist-info/"
    found = {name for name in packed if not name.startswith(info)}
    assert found == {name.removeprefix("src/") for name in tracked.splitlines()}


def test_the_licenses_of_all_that_is_in_the_wheel_are_in_it(packed: dict[str, bytes], metadata: Message) -> None:
    licenses = [name for name in packed if ".dist-info/licenses/" in name]
    assert {Path(name).name for name in licenses} == {"LICENSE", "LICENSES.txt"}
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_metadata_name_each_supported_python(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"
    prefix = "Programming Language :: Python :: 3."
    versions = [line.removeprefix(prefix) for line in metadata.get_all("Classifier", []) if line.startswith(prefix)]
    assert versions == ["11", "12", "13", "14"]


def test_the_description_needs_no_other_file(metadata: Message) -> None:
    """A package index shows the description alone: a relative link or picture would lead nowhere."""
    description = metadata.get_payload()
    assert isinstance(description, str)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert description.startswith("# Stagebook\n")
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert [target for target in targets if not target.startswith("https://")] == []


def test_the_sdist_has_no_leftovers(packages: Packages) -> None:
    with tarfile.open(packages.sdist) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    tops = {name.partition("/")[0] for name in names}
    documents = {"CHANGELOG.md", "LICENSE", "PACKAGE.md", "README.md", "SECURITY.md"}
    assert (
        tops - {""}
        == {"MANIFEST.in", "PKG-INFO", "constraints", "contrib", "docs", "pyproject.toml", "setup.cfg", "src"}
        | documents
    )
    assert not [name for name in names if re.search(r"__pycache__|\.py[cod]$|\.sqlite3|(^|/)\.", name)]
    assert all(member.isfile() or member.isdir() for member in members)


def test_two_builds_of_one_commit_are_equal(packages: Packages, tmp_path: Path) -> None:
    again = build_packages(tmp_path)
    assert again.wheel.read_bytes() == packages.wheel.read_bytes()
    assert again.sdist.read_bytes() == packages.sdist.read_bytes()

"""The files in constraints/ pin every dependency of pyproject.toml with hashes, and name no package index or folder."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = {
    "server.txt": [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["livekit"]]
    + PROJECT["optional-dependencies"]["postgres"],
    "development.txt": [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"]]
    + PROJECT["optional-dependencies"]["dev"],
}


def text(name: str) -> str:
    return (ROOT / "constraints" / name).read_text(encoding="utf-8")


def entries(name: str) -> list[tuple[Requirement, int]]:
    """Return the pinned requirements of a file, each with its number of hashes."""
    return [
        (Requirement(entry.partition(" \\\n")[0]), entry.count("--hash=sha256:"))
        for entry in re.split(r"\n(?=\w)", text(name))
        if not entry.startswith("#")
    ]


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_every_dependency_is_pinned_to_an_allowed_version(name: str) -> None:
    pinned: dict[str, list[str]] = {}
    for requirement, _ in entries(name):
        pinned.setdefault(canonicalize_name(requirement.name), []).extend(s.version for s in requirement.specifier)
    for line in DEPENDENCIES[name]:
        dependency = Requirement(line)
        versions = pinned.get(canonicalize_name(dependency.name), [])
        assert versions, f"{dependency.name} is missing in constraints/{name}: run `make constraints`"
        assert all(version in dependency.specifier for version in versions), f"{line}: run `make constraints`"


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_every_pin_is_exact_and_has_hashes(name: str) -> None:
    for requirement, hashes in entries(name):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement.name
        assert hashes, requirement.name


def test_both_files_pin_the_same_versions() -> None:
    development = {(requirement.name, str(requirement.specifier)) for requirement, _ in entries("development.txt")}
    assert {(requirement.name, str(requirement.specifier)) for requirement, _ in entries("server.txt")} <= development


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_no_package_index_and_no_folder_is_named(name: str) -> None:
    assert not re.search(r"https?:|file:|--(?:index|extra|find|trusted)|(?<!-r )(?<![\w.])/", text(name))

"""The workflow of GitHub Actions, the hooks of pre-commit and .editorconfig agree with the project."""

import re
import stat
import tomllib
from configparser import ConfigParser
from typing import Any

import yaml

from tests.contrib.dockerfile import ROOT

# YAML 1.1 reads the key `on` as true.
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def steps() -> list[dict[str, Any]]:
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def commands() -> list[str]:
    """Return the commands of all steps and hooks."""
    return [step["run"] for step in steps() if "run" in step] + [hook["entry"] for hook in HOOKS["repos"][0]["hooks"]]


def test_the_matrix_has_the_supported_versions_of_python() -> None:
    prefix = "Programming Language :: Python :: 3."
    supported = [
        f"3.{line.removeprefix(prefix)}" for line in PROJECT["project"]["classifiers"] if line.startswith(prefix)
    ]
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
    assert PROJECT["project"]["requires-python"] == f">={supported[0]}"


def test_each_version_runs_the_whole_script() -> None:
    assert any(step.get("run", "").endswith(".ci/run\n") for step in WORKFLOW["jobs"]["test"]["steps"])
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR


def test_the_targets_of_make_exist() -> None:
    targets = {target for command in commands() for target in re.findall(r"\bmake ([a-z-]+)", command)}
    assert {"check", "format", "package", "test-package"} <= targets
    assert [target for target in targets if not re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)] == []


def test_the_paths_in_commands_exist() -> None:
    paths = {path for command in commands() for path in re.findall(r"\b(?:tests|contrib|docs)/[\w./]+", command)}
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_actions_are_pinned_to_a_major_version() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)] == []


def test_the_packages_are_kept() -> None:
    (upload,) = (step for step in steps() if "upload-artifact" in step.get("uses", ""))
    assert upload["with"]["path"] == "dist/"
    assert "package_build dist" in MAKEFILE


def test_the_workflow_reads_the_repository_only() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_hooks_need_no_other_repository() -> None:
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]


def test_editors_use_the_line_length_of_the_linter() -> None:
    parser = ConfigParser(interpolation=None)
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))
    assert parser.getint("*.py", "max_line_length") == PROJECT["tool"]["ruff"]["line-length"]
    assert parser["top"]["root"] == "true"

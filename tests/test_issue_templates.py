"""The templates for issues and pull requests are what the code host can show, and name commands and files that exist.

The rules are those of "Syntax for GitHub's form schema" and "Configuring issue templates" in GitHub's documentation.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.serving import run_command

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "ISSUE_TEMPLATE"
FORMS = sorted(path for path in FOLDER.glob("*.yml") if path.name != "config.yml")
MEMBERS = {
    "markdown": {"value"},
    "textarea": {"label", "description", "placeholder", "value", "render"},
    "input": {"label", "description", "placeholder", "value"},
    "dropdown": {"label", "description", "multiple", "options", "default"},
    "checkboxes": {"label", "description", "options"},
}
"""The attributes that each type of element may have."""


def read(path: Path) -> Any:  # noqa: ANN401 - any document
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_are_forms_for_bugs_and_features() -> None:
    assert {path.stem for path in FORMS} >= {"bug_report", "feature_request"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_the_schema_requires(path: Path) -> None:
    form = read(path)
    assert form.keys() <= {"name", "description", "title", "labels", "assignees", "projects", "type", "body"}
    assert all(isinstance(form[member], str) and form[member] for member in ("name", "description"))
    questions = [element for element in form["body"] if element["type"] != "markdown"]
    assert questions
    ids = [question["id"] for question in questions]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in ids)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_the_elements_of_a_form_have_their_attributes(path: Path) -> None:
    for element in read(path)["body"]:
        attributes = element["attributes"]
        required = "value" if element["type"] == "markdown" else "label"
        assert attributes.keys() <= MEMBERS[element["type"]]
        assert isinstance(attributes[required], str)
        assert element.get("validations", {}).keys() <= {"required"}
        options = attributes.get("options", [])
        assert all(isinstance(option, str) for option in options)
        assert len(set(options)) == len(options)


def test_the_form_of_a_bug_asks_for_the_version_the_doctor_and_the_log() -> None:
    questions = {element.get("id"): element for element in read(FOLDER / "bug_report.yml")["body"]}
    for name in ("version", "doctor"):
        assert questions[name]["validations"] == {"required": True}
        command = questions[name]["attributes"]["label"].removeprefix("stagebook ")
        assert run_command(command, *([] if command.startswith("-") else ["--help"])).returncode == 0
    assert "log" in questions


def test_the_configuration_of_the_forms_is_known() -> None:
    assert read(FOLDER / "config.yml").keys() <= {"blank_issues_enabled", "contact_links"}


def test_the_template_of_pull_requests_names_existing_files() -> None:
    text = (ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    files = re.findall(r"`([\w/-]+\.md)`", text)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []

"""The documentation agrees with the code: settings, quotas, operations, events, errors, commands and links."""

import re
import tomllib
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from stagebook.api.aws.operations import operations
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.participants.problem_responses import ATTEMPT_STATUSES, OTHER_STATUSES
from stagebook.api.routes.openapi_document import with_document
from stagebook.api.watch.metrics.metrics_access import READ_METRICS
from stagebook.api.watch.watch_description import watch_description
from stagebook.audit.book_rules import RULES
from stagebook.config.settings import SETTINGS, Setting
from stagebook.config.sources import describe_type, load_settings
from stagebook.manager.stage_manager import StageManager
from stagebook.server.watch_wiring import watch_routes
from stagebook.stage.errors import TokenRefusal
from stagebook.stage.events import AWS_EVENT_NAMES, Cause, ErrorCode
from stagebook.stage.limits import RELAXED, STRICT, Limits
from tests.e2e.ingest.commands import GSTREAMER, PUBLISH, VARIABLES
from tests.e2e.ingest.error_causes import ERROR_CAUSES

ROOT = Path(__file__).parent.parent


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(name: str) -> dict[str, list[str]]:
    """Return the other cells of every table row whose first cell is `code`, by that cell."""
    found = {}
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) > 1:
            found[cells[0].strip("`")] = cells[1:]
    return found


def compatibility() -> dict[str, str]:
    """Return the state of each name on the compatibility page: done, partly or not yet."""
    return {name: cells[0].partition(":")[0] for name, cells in rows("compatibility.md").items()}


def setting_row(setting: Setting) -> str:
    """Return the expected row of operating.md for a setting."""
    kind = setting.rule.requirement.partition(", named by")[0] or describe_type(setting)
    unit = f" ({setting.rule.unit})" if setting.rule.unit in {"seconds", "bytes"} else ""
    return f"| `{setting.name}` | {kind}{unit} | {default_text(setting.default)} | {setting.rule.description} |"


def default_text(default: Any) -> str:  # noqa: ANN401 - defaults are of every type
    """Return a default as TOML writes it."""
    if default in (None, (), {}):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in default) + "]`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting: Setting) -> None:
    assert setting_row(setting) in page("operating.md").splitlines()


TOML_EXAMPLES = [
    pytest.param(example, id=f"{name}-{number}")
    for name in ("operating.md", "watch.md", "recording.md", "composition.md", "scaling.md")
    for number, example in enumerate(re.findall(r"^```toml\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL))
]


KEY_EXAMPLE = """
[[credentials]]
access_key_id = "AKIAREADONLYEXAMPLE0"
secret_access_key = "0123456789abcdef"
account_id = "123456789012"
user_name = "auditor"
"""


@pytest.mark.parametrize("example", TOML_EXAMPLES)
def test_the_examples_of_settings_are_valid(example: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    is_policy = example.startswith("[[credentials.policy.")
    file.write_text(KEY_EXAMPLE + example if is_policy else example, encoding="utf-8")
    load_settings(flags={}, environment={}, config_file=file)


def test_only_existing_settings_are_documented_in_their_order() -> None:
    section = page("operating.md").partition("## Settings")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert documented == list(SETTINGS)


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_every_quota_is_documented_with_both_editions(name: str) -> None:
    quotas = [getattr(edition, name) for edition in (STRICT, RELAXED)]
    assert rows("operating.md")[name][:2] == ["none" if quota is None else f"{quota:,}" for quota in quotas]


def test_every_operation_of_the_service_model_has_a_state() -> None:
    served = operations(cast("StageManager", MagicMock()), MagicMock(), page_token_secret=bytes(32))
    states = compatibility()
    for name in load_service_model().operations:
        assert states[name] == ("done" if name in served else "not yet"), name


@pytest.mark.parametrize("name", [*AWS_EVENT_NAMES, *ErrorCode], ids=str)
def test_every_event_name_and_error_code_has_a_state(name: str) -> None:
    assert compatibility()[name] in {"done", "not yet"}


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_explained(cause: Cause) -> None:
    assert cause.value in rows("compatibility.md")


def test_every_rule_of_the_book_is_documented() -> None:
    shown = {name: cells for name, cells in rows("import.md").items() if len(cells) == 2}
    assert shown == {rule.name: [rule.text, rule.source] for rule in RULES}


def test_every_route_of_the_watch_api_is_documented_with_its_role() -> None:
    routes = with_document(watch_routes(MagicMock(), MagicMock(), MagicMock()), watch_description(version=""))
    expected = {f"{route.method} {route.template}": "none" if route.is_public else route.role.value for route in routes}
    section = page("watch.md").partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([A-Z]+ /watch/v1/[^`]+)` \| (\w+) \|", section, re.MULTILINE))
    assert documented == expected


def test_the_actions_in_documented_policies_exist() -> None:
    routes = with_document(watch_routes(MagicMock(), MagicMock(), MagicMock()), watch_description(version=""))
    actions = {f"stagebook:{route.action}" for route in routes} | {READ_METRICS}
    documented = set(re.findall(r"stagebook:[A-Z]\w+", page("watch.md")))
    assert documented
    assert documented <= actions


def test_every_error_response_of_the_participants_api_is_documented() -> None:
    text = page("participants.md")
    codes = [*(code.value for code in ATTEMPT_STATUSES), *(code for _, code in OTHER_STATUSES.values())]
    codes += [f"TOKEN_{refusal.name}" for refusal in TokenRefusal]
    assert [code for code in codes if f"`{code}`" not in text] == []


CODES_WITHOUT_ENCODERS = {ErrorCode.INSUFFICIENT_CAPABILITIES, ErrorCode.PUBLISHER_NOT_FOUND}
"""The error codes that an encoder cannot cause: its stream key always permits publishing and nothing else."""


def test_every_error_code_of_encoders_is_documented_with_the_tested_command() -> None:
    table = page("rtmp.md").partition("## Errors")[2].partition("\n## ")[0]
    shown = [line for line in table.splitlines() if line.startswith("| `")]
    assert shown == [f"| `{cause.code}` | {cause.when} | `{cause.command}` |" for cause in ERROR_CAUSES]
    assert {cause.code for cause in ERROR_CAUSES} == set(ErrorCode) - CODES_WITHOUT_ENCODERS


def test_the_documented_encoder_commands_are_those_of_the_tests() -> None:
    lines = page("rtmp.md").splitlines()
    assert [name for name, value in VARIABLES.items() if f'{name}="{value}"' not in lines] == []
    assert [command for command in (PUBLISH, GSTREAMER) if command not in lines] == []


def requirement_names(requirements: list[str]) -> list[str]:
    return [re.split(r"[<>=\[ ]", requirement, maxsplit=1)[0] for requirement in requirements]


def test_every_dependency_is_documented_with_its_reason_and_license() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = requirement_names(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += requirement_names(extra)
    documented = rows("dependencies.md")
    extras = project["optional-dependencies"].keys() - {"demo", "dev", "fuzz"}
    assert set(documented) == {*wanted, *extras}
    for name, cells in documented.items():
        assert all(cells), name


def test_the_readme_names_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert [name for name in sorted(pages) if f"| [docs/{name}](docs/{name}) |" not in text] == []


def test_the_page_of_the_package_has_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].keys() - {"dev", "docs", "fuzz"}
    lines = (ROOT / "PACKAGE.md").read_text(encoding="utf-8").splitlines()
    assert {line.split("`")[1] for line in lines if line.startswith("| `")} == extras


def test_the_web_page_of_the_readme_is_the_example() -> None:
    example = (ROOT / "examples" / "web" / "index.html").read_text(encoding="utf-8")
    assert f"```html\n{example}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_folder_of_tests_has_its_kind_in_the_contributors_page() -> None:
    tests = ROOT / "tests"
    folders = [path for path in [*tests.iterdir(), *(tests / "e2e").iterdir()] if next(path.rglob("test_*.py"), None)]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = {f"`{path.relative_to(ROOT)}`" for path in folders if path.name not in {"e2e", "__pycache__"}}
    assert {name for name in missing if name not in text} == set()


def test_every_target_of_make_is_in_the_contributors_page() -> None:
    targets = re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")
    assert [target for target in targets if f"make {target}" not in text] == []


def test_every_example_is_in_the_index() -> None:
    folders = {f"{path.name}/" for path in (ROOT / "examples").iterdir() if path.is_dir()}
    index = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert folders - set(re.findall(r"^\| \[([\w-]+/)\]", index, re.MULTILINE)) == set()


def test_the_modules_and_tests_that_pages_name_exist() -> None:
    found = (path for top in ("src", "tests", "contrib") for path in (ROOT / top).rglob("*"))
    paths = [f"/{path.relative_to(ROOT).with_suffix('')}" for path in found if "__pycache__" not in path.parts]
    text = page("architecture.md") + page("security.md")
    named = set(re.findall(r"`([a-z_][\w.-]*(?:/[\w-]+)+|\w+(?=\.py`))", text)) - {"application/json"}
    assert [each for each in sorted(named) if not any(path.endswith(f"/{each}") for path in paths)] == []


PATTERNS = ("docs/*.md", "*.md", "clients/*/*.md", "examples/*.md", "examples/*/*.md")
PAGES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_have_existing_targets(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target

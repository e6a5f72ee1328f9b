"""The client is one small module without dependencies, and its type declarations are those of the module."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[3] / "clients" / "js"
MODULE = CLIENT / "stagebook-client.js"
DECLARATIONS = CLIENT / "stagebook-client.d.ts"
TYPESCRIPT = "typescript@5"
NPM_TIMEOUT_SECONDS = 100


def test_the_module_is_smaller_than_20_kilobytes() -> None:
    assert MODULE.stat().st_size < 21_000


def test_the_module_imports_nothing() -> None:
    assert re.findall(r"\bimport\b|\brequire\b", MODULE.read_text()) == []


def class_members(text: str, name: str) -> set[str]:
    """Return the public methods and fields of a class; those with an underscore or a hash are internal."""
    body = re.search(rf"^export class {name}\b.*?^\}}", text, re.DOTALL | re.MULTILINE)
    assert body is not None
    return set(re.findall(r"^\t(?:readonly |async )?([a-z]\w*)(?=[<(:]| = )", body[0], re.MULTILINE))


def test_every_method_of_a_stage_is_declared() -> None:
    declared = class_members(DECLARATIONS.read_text(), "Stage") - {"addEventListener", "removeEventListener"}
    assert class_members(MODULE.read_text(), "Stage") | {"participantId", "capabilities", "expiresAt"} == declared


def test_every_event_is_declared() -> None:
    module = MODULE.read_text()
    events = re.search(r"interface StageEventMap \{.*?^\}", DECLARATIONS.read_text(), re.DOTALL | re.MULTILINE)
    assert events is not None
    sent = set(re.findall(r'(?:_emit\(|event: |push\(\[|note\(.*, )"(\w+)"', module))
    assert sent == set(re.findall(r"^\t(\w+):", events[0], re.MULTILINE))


def test_every_error_code_is_declared() -> None:
    codes = set(re.findall(r'fail\("(\w+)"', MODULE.read_text())) | {"CONNECTION_FAILED"}
    declared = set(re.findall(r'^\t\| "(\w+)"', DECLARATIONS.read_text(), re.MULTILINE))
    assert codes - {"INSUFFICIENT_CAPABILITIES"} == declared  # that one is the server's, too


@pytest.mark.client
def test_typescript_accepts_the_declarations(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(tmp_path), TYPESCRIPT]
    completed = subprocess.run(command, timeout=NPM_TIMEOUT_SECONDS, capture_output=True, check=False)
    if completed.returncode != 0:
        pytest.skip(f"npm could not install TypeScript: {completed.stderr.decode()[:200]}")
    shutil.copy(DECLARATIONS, tmp_path)
    shutil.copy(MODULE, tmp_path)
    shutil.copy(Path(__file__).parent / "pages" / "typed_use.ts", tmp_path)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"]
    checked = subprocess.run(
        [tmp_path / "node_modules/.bin/tsc", *options, tmp_path / "typed_use.ts"], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout.decode()

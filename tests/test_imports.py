"""The house's one rule: imports point from the doors to the heart, and the heart is pure."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stagebook

ROOT = Path(stagebook.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

LAYERS = {
    "stage": {"stage"},
    "book": {"book", "stage"},
    "media": {"media"},
    "manager": {"manager", "stage", "book", "media"},
    "api": {"api", "manager", "stage", "book", "media"},
}
"""What each folder may import of Stagebook. What stands in no folder is on top and may import everything."""

IMPURE = {
    "asyncio",
    "concurrent",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
}
"""Modules that bring a clock, chance or the outside world: none of them in the heart."""


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the full name of every module that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_parts(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the parts below `stagebook` of every one of its modules that the file imports."""
    for name in imported_modules(path):
        root, *parts = name.split(".")
        if root == "stagebook" and parts:
            yield tuple(parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_the_heart(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    if layer not in LAYERS:
        return
    for parts in own_parts(path):
        assert parts[0] in LAYERS[layer], f"{layer} imports stagebook.{'.'.join(parts)}"


APIS = {"aws", "participants", "watch"}
"""The folders of `api/`. Its modules outside of them are shared."""


@pytest.mark.parametrize("path", sorted((ROOT / "api").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_api_imports_another(path: Path) -> None:
    own = {path.relative_to(ROOT / "api").parts[0]} & APIS
    for parts in own_parts(path):
        if parts[0] == "api" and len(parts) > 1:
            assert parts[1] not in APIS - own, f"{path.name} imports the API {parts[1]}"


@pytest.mark.parametrize("path", sorted((ROOT / "stage").glob("*.py")), ids=lambda path: path.name)
def test_the_heart_is_pure(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported_modules(path)}
    assert not roots & IMPURE
    third_party = roots - sys.stdlib_module_names - {"stagebook"}
    assert third_party <= {"msgspec"}


@pytest.mark.parametrize("path", sorted((ROOT / "media" / "rtmp").glob("*.py")), ids=lambda path: path.name)
def test_the_protocol_of_rtmp_stands_by_itself_and_does_no_io(path: Path) -> None:
    names = set(imported_modules(path))
    assert not {name.split(".")[0] for name in names} & IMPURE
    for parts in own_parts(path):
        assert parts[:2] == ("media", "rtmp"), f"media/rtmp imports stagebook.{'.'.join(parts)}"


@pytest.mark.parametrize("path", sorted((ROOT / "media" / "rtc").rglob("*.py")), ids=lambda path: path.name)
def test_a_forwarder_knows_no_ingest(path: Path) -> None:
    for parts in own_parts(path):
        assert parts[:2] not in {("media", "ingest"), ("media", "rtmp")}, f"imports stagebook.{'.'.join(parts)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_test_clients_are_no_part_of_the_server(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] == "demo":
        return
    roots = {name.split(".")[0] for name in imported_modules(path)}
    assert not roots & {"aiortc", "boto3", "httpx", "pytest", "hypothesis"}


def test_ffmpeg_is_spoken_to_in_one_place() -> None:
    speakers = {path.relative_to(ROOT).as_posix() for path in MODULES if "av" in set(imported_modules(path))}
    assert {name for name in speakers if not name.startswith("demo/")} <= {"media/ingest/pipeline/aac_to_opus.py"}


def test_the_stage_process_does_not_load_ffmpeg() -> None:
    """It parses what strangers send: that is for a process that may fall."""
    look = "import sys, stagebook.server.lifecycle; print('av' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_sql_is_spoken_by_the_book_alone() -> None:
    speakers = {path.relative_to(ROOT).parts[0] for path in MODULES if "apsw" in set(imported_modules(path))}
    assert speakers <= {"book"}

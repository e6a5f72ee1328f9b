"""The architecture as tests: layers, purity, and names.

The layers are contracts of import-linter in pyproject.toml; `make check` runs them too (`lint-imports`).
"""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest
from importlinter.cli import lint_imports

import stagebook

ROOT = Path(stagebook.__file__).parent
REPOSITORY = Path(__file__).parents[1]
MODULES = sorted(ROOT.rglob("*.py"))

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
"""Modules that bring a clock, randomness or the outside world. The domain and the protocol of RTMP use none of them."""

PURE_LIBRARIES = {"msgspec"}
"""What the domain may use beside the standard library: values."""


class ReadModule(msgspec.Struct, frozen=True, kw_only=True):
    """What a file contains."""

    imported: tuple[str, ...]
    """The full name of each module that it imports, wherever in it."""
    classes: tuple[str, ...]
    """The classes at its top level."""
    controls_manager: bool
    """Whether it uses `control` of a stage manager."""


@cache
def read_module(path: Path) -> ReadModule:
    """Read a file once for all tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    return ReadModule(
        imported=tuple(name for node in nodes for name in imported_by(node, path)),
        classes=tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
        controls_manager=any(
            isinstance(node, ast.Attribute) and node.attr == "control" and ast.unparse(node.value).endswith("manager")
            for node in nodes
        ),
    )


def imported_by(node: ast.AST, path: Path) -> Iterator[str]:
    """Yield the full name of each module that a node imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}: relative imports hide where they point"
        assert node.module is not None
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_roots(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.split(".")[0] for name in read_module(path).imported}


def relative(path: Path) -> str:
    """Return a module's path below the package."""
    return path.relative_to(ROOT).as_posix()


def test_imports_keep_to_the_layers() -> None:
    assert lint_imports(config_filename=str(REPOSITORY / "pyproject.toml")) == 0


@pytest.mark.parametrize("path", sorted((ROOT / "stage").rglob("*.py")), ids=relative)
def test_the_domain_is_pure(path: Path) -> None:
    roots = imported_roots(path)
    assert not roots & IMPURE
    assert roots - sys.stdlib_module_names - {"stagebook"} <= PURE_LIBRARIES


@pytest.mark.parametrize("path", sorted((ROOT / "media" / "rtmp").glob("*.py")), ids=relative)
def test_the_rtmp_protocol_does_no_io(path: Path) -> None:
    assert not imported_roots(path) & IMPURE


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_test_clients_are_no_part_of_the_server(path: Path) -> None:
    clients = {"aiortc", "boto3", "httpx", "pytest", "hypothesis"}
    if relative(path).startswith("webhooks/targets/"):
        # Webhooks are delivered with these, in a process of their own.
        clients -= {"boto3", "httpx"}
    if relative(path).startswith(("media/livekit/", "server/livekit/")):
        # The extra `livekit` has these: the client of LiveKit's service, and the peer that sends encoders' media to it.
        clients -= {"aiortc", "httpx"}
    if not relative(path).startswith(("demo/", "scenarios/", "testing/")):
        assert not imported_roots(path) & clients


def test_pyav_is_used_where_media_is_transcoded() -> None:
    users = {relative(path) for path in MODULES if "av" in imported_roots(path)}
    transcoding = ("demo/", "media/composition/", "media/recording/", "media/ingest/pipeline/aac_to_opus.py")
    # aiortc takes encoded frames as packets of PyAV.
    packing = ("media/livekit/uplink/packet_track.py",)
    assert not [name for name in users if not name.startswith(transcoding + packing)]


def test_the_stage_process_does_not_load_pyav() -> None:
    """PyAV decodes data of unauthenticated clients. That is the ingest process's work, whose crash ends no stage."""
    assert "av" not in modules_of_the_server()


@pytest.mark.parametrize("client", ["httpx", "boto3"])
def test_the_stage_process_does_not_load_the_clients_of_webhooks(client: str) -> None:
    """They call hosts that anybody may run. That is the delivery process's work."""
    assert client not in modules_of_the_server()


def test_a_server_with_a_sqlite_book_does_not_load_the_driver_of_postgresql() -> None:
    """It is an optional package."""
    assert "psycopg" not in modules_of_the_server()


def test_only_a_server_for_tests_loads_the_testing_api() -> None:
    assert "stagebook.api.testing.testing_access" not in modules_of_the_server()


@cache
def modules_of_the_server() -> frozenset[str]:
    """Return the modules that a server has loaded."""
    script = "import sys, stagebook.server.lifecycle; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return frozenset(loaded.stdout.split())


def test_only_the_book_the_webhooks_and_the_search_use_sql() -> None:
    users = {path.relative_to(ROOT).parts[:2] for path in MODULES if "apsw" in imported_roots(path)}
    assert {folder for folder, _ in users} == {"book", "webhooks", "history"}
    assert {name for folder, name in users if folder == "history"} == {"search"}


def test_no_module_name_occurs_twice() -> None:
    names = Counter(path.name for path in MODULES if not path.name.startswith("__"))
    assert not [name for name, count in names.items() if count > 1]


def test_no_class_name_occurs_twice() -> None:
    names = Counter(name for path in MODULES for name in read_module(path).classes)
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_no_module_is_a_catch_all(name: str) -> None:
    assert not [path for path in MODULES if path.stem == name]


def test_folders_hold_at_most_sixteen_modules() -> None:
    folders = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {relative(folder): count for folder, count in folders.items() if count > 16} == {}


def test_only_the_testing_api_controls_the_stage_manager() -> None:
    users = {relative(path) for path in MODULES if read_module(path).controls_manager}
    assert users
    assert {name for name in users if not name.startswith("api/testing/")} == set()

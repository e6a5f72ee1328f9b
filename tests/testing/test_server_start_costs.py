"""What the start of a testing server costs: the processes that it starts and the modules that it imports."""

import subprocess
import sys
from pathlib import Path

from stagebook.testing.server_start import ServerStart

HEAVY_MODULES = (
    "rich",
    "botocore",
    "boto3",
    "httpx",
    "av",
    "pytest",
    "aiortc",
    "urllib3",
    "pygments",
    "shtab",
    "prometheus_client",
    "numpy",
    "obstore",
)
"""Modules that take long to import and that no server needs to be ready."""

MAXIMUM_MODULES = 955
"""A server with everything has about 950. Each takes half a millisecond."""


def child_processes(process_id: int) -> list[str]:
    """Return the process ids of the children of a process."""
    tasks = Path(f"/proc/{process_id}/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def modules_after(statements: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after these statements."""
    script = f"import sys\n{statements}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_no_process_is_started_before_it_is_needed() -> None:
    started = ServerStart({})
    try:
        started.wait()
        assert child_processes(started.process_id) == []
    finally:
        started.end()


def test_a_server_imports_nothing_heavy_before_it_is_ready() -> None:
    hide = "from stagebook.testing.server_process import hide_unused_modules; hide_unused_modules()\n"
    server = "import stagebook.server.lifecycle, stagebook.config.sources\n"
    modules = modules_after(f"{hide}{server}import stagebook.server.testing_wiring")
    assert [name for name in HEAVY_MODULES if any(module.startswith(f"{name}.") for module in modules)] == []
    assert len(modules) <= MAXIMUM_MODULES


def test_the_plugin_imports_no_other_module_of_the_package() -> None:
    added = modules_after("import pytest, stagebook.testing.pytest_plugin") - modules_after("import pytest")
    assert added == {"stagebook", "stagebook.testing", "stagebook.testing.pytest_plugin"}


def test_the_tools_import_no_part_of_the_server() -> None:
    modules = modules_after("from stagebook.testing import serve")
    own = {name for name in modules if name.startswith("stagebook.")}
    assert {name.split(".")[1] for name in own} == {"testing"}
    assert not {"asyncio", "boto3", "httpx"} & modules

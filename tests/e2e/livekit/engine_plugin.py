"""A pytest plugin: the servers of the tests use a real LiveKit server as their media engine.

    python -m pytest -p tests.e2e.livekit.engine_plugin tests/e2e/participants tests/e2e/browser

The tests run as they are. `DEVIATIONS` names those that LiveKit cannot pass, each with its reason; one of them that
passes fails the run. Each process of tests has a LiveKit server of its own.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import server
from tests.e2e.livekit.deviations import DEVIATIONS
from tests.e2e.livekit.livekit_node import running_node
from tests.e2e.livekit.webhook_relay import webhook_relay

_started = ExitStack()
_reason_to_skip = ""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start LiveKit, except in the process that only distributes tests."""
    global _reason_to_skip
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        return
    folder = Path(_started.enter_context(tempfile.TemporaryDirectory(prefix="livekit-")))
    relay = _started.enter_context(webhook_relay())
    try:
        node = _started.enter_context(running_node(folder, webhook_url=relay.url))
    except pytest.skip.Exception as skipped:
        _reason_to_skip = str(skipped)
        return
    server.default_config.append(node.stagebook_config)
    server.on_started.append(relay.add)


def pytest_sessionfinish() -> None:
    """Stop LiveKit."""
    server.default_config.clear()
    server.on_started.clear()
    _started.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the failures of the list."""
    for item in items:
        if _reason_to_skip:
            item.add_marker(pytest.mark.skip(reason=_reason_to_skip))
        reason = DEVIATIONS.get(item.nodeid) or DEVIATIONS.get(item.nodeid.partition("[")[0])
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))

"""The receiver of docs/watch.md is the example, and it accepts what Stagebook sends and nothing else."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from stagebook.stage.events import EventName
from stagebook.webhooks.delivery_outcome import Delivered, Failed, Outcome
from stagebook.webhooks.destination import DeliveryFormat
from stagebook.webhooks.event_envelope import message_body
from stagebook.webhooks.targets.http_target import HttpTarget
from stagebook.webhooks.targets.target import OutgoingMessage
from tests.history.logged import logged
from tests.webhooks.destinations import SECRET, destination

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "webhooks" / "receiver.py"
DEADLINE_SECONDS = 30


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def port() -> Iterator[int]:
    """The port of the running example. It prints one line for each new event."""
    port = free_port()
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET}
    process = subprocess.Popen([sys.executable, str(EXAMPLE), str(port)], env=environment)
    yield port
    process.kill()
    process.wait()


async def deliver(port: int, secret: str) -> Outcome:
    event = logged(EventName.PUBLISH_STARTED)
    target = HttpTarget(
        destination(target=f"http://127.0.0.1:{port}/", secrets=(secret,)),
        denied=(),
        timeout_seconds=10,
        connections=1,
    )
    message = OutgoingMessage(
        event_id=event.event_id,
        session_id=event.session_id,
        body=message_body(event, DeliveryFormat.EVENTBRIDGE),
        content_type="application/json",
        time_s=int(time.time()),
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        (outcome,) = await target.deliver([message])
        is_starting = isinstance(outcome, Failed) and outcome.reason.startswith("ConnectError")
        if not is_starting or time.monotonic() > deadline:
            await target.close()
            return outcome


async def test_the_example_verifies_signatures(port: int) -> None:
    assert await deliver(port, SECRET) == Delivered(status=204)
    other = f"whsec_{'B' * 40}"
    outcome = await deliver(port, other)
    assert isinstance(outcome, Failed)
    assert outcome.status == 400


@pytest.mark.parametrize("length", [None, "1048577", "-1", "many"])
async def test_the_example_reads_no_body_of_unknown_or_great_length(port: int, length: str | None) -> None:
    await deliver(port, SECRET)  # when it has started
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    connection.putrequest("POST", "/")
    if length is not None:
        connection.putheader("Content-Length", length)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_the_documentation_shows_the_example() -> None:
    shown = f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```"
    assert shown in (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")

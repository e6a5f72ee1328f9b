"""Log forwarding: records of `logging` and structlog become `Logged` reports."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from stagebook.media.worker.log_forwarding import forward_logs
from stagebook.media.worker.worker_messages import Logged


@pytest.fixture
def forwarded() -> Iterator[list[Logged]]:
    """The forwarded records; the logging configuration is restored afterwards."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    records: list[Logged] = []
    forward_logs(records.append)
    logging.getLogger("httpx").disabled = False  # a test that configured the logging of another library disables it
    yield records
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


def test_a_logging_record_keeps_its_logger_level_and_message(forwarded: list[Logged]) -> None:
    logging.getLogger("some.module").warning("%d of %d", 1, 2)
    assert forwarded == [Logged(logger="some.module", level=logging.WARNING, message="1 of 2")]


def test_a_structlog_record_keeps_its_fields(forwarded: list[Logged]) -> None:
    structlog.get_logger("some.module").info("accepted", port=1935, ratio=0.5, secure=False, host=None, path=("a",))
    values = {"port": 1935, "ratio": 0.5, "secure": False, "host": None, "path": "('a',)"}
    assert forwarded == [Logged(logger="some.module", level=logging.INFO, message="accepted", values=values)]


def test_records_below_info_are_not_forwarded(forwarded: list[Logged]) -> None:
    logging.getLogger("some.module").debug("detail")
    structlog.get_logger("some.module").debug("detail")
    assert forwarded == []


def test_libraries_forward_warnings_and_nothing_below(forwarded: list[Logged]) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST https://example.com/hooks/a-secret")
    logging.getLogger("httpx").warning("slow")
    assert [each.message for each in forwarded] == ["slow"]

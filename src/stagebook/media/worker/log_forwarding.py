"""Logging in a worker process: every record goes to the server as a `Logged` report.

The worker has no log output of its own. The server alone knows the configured destination and format, so the worker
sends each record with its structured fields and the server logs it under the same logger name.
"""

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from stagebook.media.worker.worker_messages import Logged

_LIBRARIES = ("asyncio", "boto3", "botocore", "httpcore", "httpx", "urllib3")
"""Their lines below WARNING are not forwarded: httpx logs each request with its URL, which may hold a secret."""


def forward_logs(send: Callable[[Logged], None]) -> None:
    """Configure `logging` and structlog of this process to pass records of level INFO and above to `send`.

    `send` is called on the thread that logs and must not block. It may drop records. Tracebacks are formatted here,
    because an exception cannot be sent.
    """
    root = logging.getLogger()
    root.handlers[:] = [_ForwardingHandler(send)]
    root.setLevel(logging.INFO)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.format_exc_info, _separate_fields],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class _ForwardingHandler(logging.Handler):
    """Converts a log record to a `Logged` report."""

    def __init__(self, send: Callable[[Logged], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        # Records of other libraries come through `logging` itself and have no structured fields.
        values = getattr(record, "values", {})
        self._send(Logged(logger=record.name, level=record.levelno, message=self.format(record), values=values))


def _separate_fields(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, dict[str, Any]]]:
    """The last structlog processor: pass the event as the log message and the other fields as `extra["values"]`.

    Values that the control protocol has no type for are converted to strings.
    """
    message = str(line.pop("event", ""))
    values = {
        name: value if value is None or isinstance(value, str | int | float) else str(value)
        for name, value in line.items()
    }
    return (message,), {"extra": {"values": values}}

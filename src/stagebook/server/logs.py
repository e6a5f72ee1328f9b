"""Log lines: one event a line, for people or for machines, and never a secret in them.

Owns the form and the last filter before a line is written. Libraries that speak through the standard logging module
come out in the same form; their own debug lines, which show headers, stay off.
"""

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import structlog

REDACTED = "[redacted]"

_SECRET_NAMES = re.compile(r"authorization|token|secret|password|stream_?key|signature", re.IGNORECASE)
_SECRET_TEXTS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?<=Signature=)[0-9a-fA-F]+"  # SigV4
    r"|(?i:(?<=bearer ))\S+"
    r"|(?<=rt_)[0-9]{12}_[a-z0-9-]+_[a-zA-Z0-9-]+_\w+"  # a stream key, in whatever stands around it
)


class Redactor:
    """A structlog processor that removes what must not be logged, by the name of a value and by its form."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the line without secrets."""
        return {
            name: REDACTED if _SECRET_NAMES.search(name) and name != "event" else self._clean(value)
            for name, value in line.items()
        }

    def _clean(self, value: object) -> object:
        if isinstance(value, bool | int | float | None):
            return value
        text = _SECRET_TEXTS.sub(REDACTED, value if isinstance(value, str) else str(value))
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


def configure_logging(*, level: str, form: str, secrets: Sequence[str] = (), stream: TextIO | None = None) -> None:
    """Send every log line from `level` on to `stream` (standard error), as `text` or `json`.

    `secrets` are texts that must never appear. Loggers are got by `structlog.get_logger()` or by
    `logging.getLogger()`; both end here.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _with_values],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                Redactor(secrets),
                _renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _quieten_libraries(max(root.level, logging.WARNING))


def _with_values(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a line of another process back the values that it came with; what is there already wins."""
    return {**getattr(line["_record"], "values", {}), **line}


def _renderer(form: str) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)


def _quieten_libraries(level: int) -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio", "botocore", "urllib3"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level)

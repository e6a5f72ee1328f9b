"""Logging: one line per event, as logfmt text or as JSON, with secrets redacted.

Lines of structlog and lines of the standard logging module (libraries, worker processes) share one handler and one
format. The last processor before the renderer redacts secrets: values whose name suggests a secret, strings that have
the form of one (JWT, SigV4 signature, bearer token, stream key), and the secrets that the server knows. The debug lines
of libraries are switched off, as they contain header fields.
"""

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import structlog

REDACTED = "[redacted]"

_SECRET_NAMES = re.compile(r"authorization|token|secret|password|stream_?key|signature", re.IGNORECASE)
_SECRET_PATTERN = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?<=Signature=)[0-9a-fA-F]+"  # SigV4
    r"|(?:(?<=Bearer )|(?i:(?<=authorization: bearer )))\S+"  # the value of a header
    r"|(?<=bearer )(?![a-z]{1,12}(?![^\s.,;:]))\S+"  # but not the next word of a sentence about bearer keys
    r"|(?<=rt_)[0-9]{12}_[a-z0-9-]+_[a-zA-Z0-9-]+_\w+"  # a stream key, also inside a URL or an encoded string
    r"|(?<=sbk_[a-z2-7]{10}_)[a-z2-7]+"  # a bearer key, whose id remains
)

_COMMON_PROCESSORS: tuple[structlog.typing.Processor, ...] = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
"""The processors of all lines: those of structlog and those of the standard logging module."""


class Redactor:
    """A structlog processor that replaces secrets by `[redacted]`. `secrets` are the known secret strings."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the line with secrets redacted."""
        return {
            name: REDACTED if _SECRET_NAMES.search(name) and name != "event" else self._redact(value)
            for name, value in line.items()
        }

    def _redact(self, value: object) -> object:
        if isinstance(value, bool | int | float | None):
            return value
        string = _SECRET_PATTERN.sub(REDACTED, value if isinstance(value, str) else str(value))
        for secret in self._secrets:
            string = string.replace(secret, REDACTED)
        return string


def configure_logging(*, level: str, form: str, secrets: Sequence[str] = (), stream: TextIO | None = None) -> None:
    """Configure structlog and the standard logging module for the whole process.

    `level` is the minimum level, `form` is `text` or `json`. Lines go to `stream`, by default to standard error.
    `secrets` are strings that must not appear in any line.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_COMMON_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_COMMON_PROCESSORS, _add_record_values],
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
    _limit_libraries(max(root.level, logging.WARNING))


def _add_record_values(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the values of a line from a worker process (`record.values`). They do not override existing members."""
    return {**getattr(line["_record"], "values", {}), **line}


def _renderer(form: str) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)


def _limit_libraries(level: int) -> None:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio", "botocore", "urllib3", "httpx"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level)

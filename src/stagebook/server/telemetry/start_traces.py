"""Whether the server makes traces, and of what: decided once, before anything of OpenTelemetry is imported.

Traces need an endpoint, from the setting `otlp_endpoint` or from the environment variables that all OpenTelemetry SDKs
read, and the SDK, which the extra `telemetry` installs. The other variables of OpenTelemetry apply as they are:
OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and so on.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog

from stagebook.api.asgi import Application, Scope
from stagebook.book.server_book import CommitObserver
from stagebook.config.rules import ConfigError

ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DISABLED_VARIABLE: Final = "OTEL_SDK_DISABLED"
_NEEDED: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
_INSTALL: Final = "pip install 'stagebook[telemetry]'"
_log = structlog.get_logger(__name__)


class Traces(Protocol):
    """The traces of a running server."""

    def commits(self, *, system: str) -> CommitObserver:
        """Return what makes a span of each commit of the book, in a database of this system: sqlite or postgresql."""

    def traced(self, application: Application, *, route_of: Callable[[Scope], str]) -> Application:
        """Return an application that makes a span of each request to `application`.

        `route_of` returns the path of a request without its ids.
        """

    async def close(self) -> None:
        """Send what is left, within a few seconds."""


def start_traces(endpoint: str | None, *, version: str, environment: Mapping[str, str]) -> Traces | None:
    """Return the traces of a server of this version; None without an endpoint, or without the SDK.

    `endpoint` is the setting: the base URL of an OTLP/HTTP receiver. Raises ConfigError if it is set and the SDK is not
    installed; with the variables alone, which may be meant for other programs, the log says so.
    """
    if environment.get(_DISABLED_VARIABLE, "").strip().lower() == "true":
        return None
    if endpoint is None and not any(environment.get(name) for name in ENDPOINT_VARIABLES):
        return None
    if not all(_is_installed(module) for module in _NEEDED):
        if endpoint is not None:
            raise ConfigError(name="otlp_endpoint", rule=f"needs the OpenTelemetry SDK: {_INSTALL}")
        _log.info("no traces: the OpenTelemetry SDK is not installed", install=_INSTALL)
        return None
    module: Any = importlib.import_module("stagebook.server.telemetry.otlp_traces")
    traces: Traces = module.OtlpTraces(endpoint, version=version)
    return traces


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False

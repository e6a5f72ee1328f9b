"""Whether a server makes traces."""

import subprocess
import sys

import pytest

from stagebook.config.rules import ConfigError
from stagebook.server.telemetry.start_traces import start_traces

ENDPOINT = "http://127.0.0.1:9"


@pytest.fixture
def without_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    # Importing the package then fails, as if it were not installed.
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)


@pytest.mark.parametrize(
    ("endpoint", "environment"),
    [
        (None, {}),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}),
        (None, {"OTEL_SERVICE_NAME": "stages"}),
        (ENDPOINT, {"OTEL_SDK_DISABLED": "true"}),
    ],
)
def test_without_an_endpoint_there_are_none(endpoint: str | None, environment: dict[str, str]) -> None:
    assert start_traces(endpoint, version="1", environment=environment) is None


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
async def test_the_endpoint_can_be_a_variable_of_opentelemetry(variable: str) -> None:
    traces = start_traces(None, version="1", environment={variable: ENDPOINT})
    assert traces is not None
    await traces.close()


@pytest.mark.usefixtures("without_sdk")
def test_a_setting_needs_the_sdk_and_a_variable_alone_does_not() -> None:
    with pytest.raises(ConfigError, match=r"stagebook\[telemetry\]"):
        start_traces(ENDPOINT, version="1", environment={})
    assert start_traces(None, version="1", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}) is None


def test_a_server_without_traces_imports_nothing_of_opentelemetry() -> None:
    program = "import sys, stagebook.server.lifecycle; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert imported.stdout.strip() == "[]"

"""The configuration of the whole test suite."""

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadlines and no health check of slow examples, because the machine may be slow. On CI the examples are the same in
# every run, so that a failure is reproducible; elsewhere each run generates new ones.
settings.register_profile(
    "stagebook",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("stagebook")


@pytest.fixture(scope="session", autouse=True)
def no_terminal_width() -> None:
    """The width of a terminal would cut the tables of commands. Parallel runs set it for their workers."""
    os.environ.pop("COLUMNS", None)

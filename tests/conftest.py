"""The configuration of the whole test suite."""

import os

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

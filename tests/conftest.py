"""What holds for the whole suite."""

import os

from hypothesis import HealthCheck, settings

# No test may depend on how fast the machine is: neither on an example's time, nor on that of making one. Where nobody
# can look into a failure (CI), the examples are the same every time; everywhere else each run looks for new ones.
settings.register_profile(
    "stagebook",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("stagebook")

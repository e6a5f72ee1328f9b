"""What holds for the whole suite."""

from hypothesis import HealthCheck, settings

# No test may depend on how fast the machine is: neither on an example's time, nor on that of making one.
settings.register_profile("stagebook", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stagebook")

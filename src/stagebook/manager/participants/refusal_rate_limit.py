"""Limits how many refusals of encoders are recorded as events.

An encoder with a wrong key retries every second, and any client that knows the id of an ingest configuration
can cause such refusals. So each configuration and error code records at most RECORDED_PER_MINUTE in a minute. Minutes
begin with their first refusal.
"""

from stagebook.stage.events import ErrorCode

RECORDED_PER_MINUTE = 10
MINUTE_MS = 60_000
TIDY_ABOVE = 1_000
"""How many counters are kept before those of past minutes are removed. Removal scans all of them."""


class RefusalRateLimit:
    """Counts the recorded refusals of each configuration and error code."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[str, ErrorCode], tuple[int, int]] = {}

    def may_record(self, configuration_arn: str, code: ErrorCode, *, now_ms: int) -> bool:
        """Return whether a refusal at the monotonic time `now_ms` is to be recorded, and count it if so."""
        if len(self._minutes) > TIDY_ABOVE:
            self._minutes = {key: minute for key, minute in self._minutes.items() if now_ms - minute[0] < MINUTE_MS}
        start_ms, recorded = self._minutes.get((configuration_arn, code), (now_ms, 0))
        if now_ms - start_ms >= MINUTE_MS:
            start_ms, recorded = now_ms, 0
        if recorded >= RECORDED_PER_MINUTE:
            return False
        self._minutes[configuration_arn, code] = (start_ms, recorded + 1)
        return True

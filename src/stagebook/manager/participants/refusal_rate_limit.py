"""How many refusals of encoders are recorded: an encoder with a wrong key tries again every second, day and night, and
whoever knows the id of an ingest configuration can make it look so.

Knows no encoder and no book; time is passed in.
"""

from stagebook.stage.events import ErrorCode

RECORDED_PER_MINUTE = 10
"""How many refusals of one configuration with one error code are recorded in a minute."""
MINUTE_MS = 60_000
TIDY_ABOVE = 1_000
"""How many counts are kept before those of past minutes are thrown away."""


class RefusalRateLimit:
    """Counts what was recorded for each configuration and error code, in minutes that begin with the first refusal."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[str, ErrorCode], tuple[int, int]] = {}

    def may_record(self, configuration_arn: str, code: ErrorCode, *, now_ms: int) -> bool:
        """Return whether a refusal at `now_ms` is to be recorded, and count it if it is."""
        if len(self._minutes) > TIDY_ABOVE:
            self._minutes = {key: minute for key, minute in self._minutes.items() if now_ms - minute[0] < MINUTE_MS}
        start_ms, recorded = self._minutes.get((configuration_arn, code), (now_ms, 0))
        if now_ms - start_ms >= MINUTE_MS:
            start_ms, recorded = now_ms, 0
        if recorded >= RECORDED_PER_MINUTE:
            return False
        self._minutes[configuration_arn, code] = (start_ms, recorded + 1)
        return True

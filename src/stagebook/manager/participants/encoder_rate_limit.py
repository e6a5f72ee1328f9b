"""Limits how often the encoders of an ingest configuration cause events.

An encoder with a wrong key retries every second, and any client that knows the id of an ingest configuration can cause
such refusals. The holder of a stream key can connect and leave a hundred times a second. Each of these makes events and
log lines, so a configuration has a number of them in a minute: RECORDED_PER_MINUTE refusals with each error code, which
are not recorded above it, and ADMITTED_PER_MINUTE admissions, which are refused above it. Minutes begin with their
first attempt.
"""

from stagebook.stage.events import ErrorCode

RECORDED_PER_MINUTE = 10
ADMITTED_PER_MINUTE = 60
"""Encoders that lose their connection wait for some seconds before they connect again."""
MINUTE_MS = 60_000
TIDY_ABOVE = 1_000
"""How many counters are kept before those of past minutes are removed. Removal scans all of them."""


class EncoderRateLimit:
    """Counts the attempts of each configuration, those with different error codes apart."""

    def __init__(self, *, per_minute: int = RECORDED_PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._minutes: dict[tuple[str, ErrorCode | None], tuple[int, int]] = {}

    def take(self, configuration_arn: str, code: ErrorCode | None, *, now_ms: int) -> bool:
        """Return whether an attempt at the monotonic time `now_ms` is within the limit, and count it if so.

        `code` is that of a refusal, None for an admission.
        """
        if len(self._minutes) > TIDY_ABOVE:
            self._minutes = {key: minute for key, minute in self._minutes.items() if now_ms - minute[0] < MINUTE_MS}
        start_ms, taken = self._minutes.get((configuration_arn, code), (now_ms, 0))
        if now_ms - start_ms >= MINUTE_MS:
            start_ms, taken = now_ms, 0
        if taken >= self._per_minute:
            return False
        self._minutes[configuration_arn, code] = (start_ms, taken + 1)
        return True

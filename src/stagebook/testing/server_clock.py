"""The clock of a server, as a test controls it."""

from datetime import UTC, datetime, timedelta

import msgspec

from stagebook.testing.testing_calls import ControlCalls


class _ClockAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    now: datetime
    is_frozen: bool


class ServerClock:
    """The clock that the server uses for everything: events, tokens, streams, windows, quotas.

    It never goes back.
    """

    def __init__(self, calls: ControlCalls) -> None:
        self._calls = calls

    @property
    def now(self) -> datetime:
        """The time of the server, in UTC."""
        return self._state().now

    @property
    def is_frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._state().is_frozen

    def advance(
        self, by: timedelta = timedelta(), *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> datetime:
        """Move the clock forward; return the new time.

        What would have happened on the way happens, each at its own time: tokens expire, streams reach their maximum
        duration, sessions end. When the call returns, its events are in the book. Raises CallRefusedError for a
        duration that is negative or too long.
        """
        total = by + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._calls.post("clock/advance", _ClockAnswer, seconds=total.total_seconds()).now

    def freeze(self, at: datetime | None = None) -> datetime:
        """Let the clock stand still, now or at a later time `at`; return the time.

        A time without a zone is UTC. Until `resume`, the clock moves with `advance` only.
        """
        text = None if at is None else _utc(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self._calls.post("clock/freeze", _ClockAnswer, at=text).now

    def resume(self) -> datetime:
        """Let the clock run again; return the time."""
        return self._calls.post("clock/resume", _ClockAnswer).now

    def _state(self) -> _ClockAnswer:
        return self._calls.get("clock", _ClockAnswer)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)

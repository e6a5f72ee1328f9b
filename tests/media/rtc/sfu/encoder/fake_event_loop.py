"""The timers and the clock of an event loop, advanced by the test."""

from collections.abc import Callable

from stagebook.media.rtc.sfu.encoder.replay_pacer import INTERVAL_SECONDS


class FakeEventLoop:
    """Calls the pacer when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[Callable[[], None]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """As an event loop's `call_later`, for the pacer's interval only."""
        assert seconds == INTERVAL_SECONDS
        self.due.append(call)

    def run(self) -> None:
        """Advance the clock by one interval and make the calls that are due."""
        self.now += INTERVAL_SECONDS
        due, self.due = self.due, []
        for call in due:
            call()

    def run_all(self) -> None:
        """Advance the clock until no call is due."""
        while self.due:
            self.run()

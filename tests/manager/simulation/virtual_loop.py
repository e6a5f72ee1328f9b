"""An event loop with virtual time, so that a simulation is the same in every run.

Nothing in a simulation waits for the outside world. The loop's clock stands still until the scheduler moves it, and a
wait with a timeout never blocks.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _ImmediateSelector(selectors.DefaultSelector):
    """A selector that polls and never blocks. A wait without an end is a defect of the simulation."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            raise RuntimeError("the simulation waits for something that nobody does")
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock only `advance` moves."""

    def __init__(self) -> None:
        super().__init__(_ImmediateSelector())
        self._seconds = 0.0

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._seconds

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self._seconds += milliseconds / 1000


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a virtual loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)

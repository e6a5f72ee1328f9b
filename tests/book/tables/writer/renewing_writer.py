"""`python -m tests.book.tables.writer.renewing_writer`: a writer that prints a line for each renewal."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from stagebook.book.tables.writer.group_writer import GroupWriter


class PrintingCommitter:
    """Implements `GroupCommitter`."""

    idle_seconds = 0.2
    stop_seconds = 1.0

    def commit(self, group: object) -> NoReturn:
        raise NotImplementedError

    def run_idle(self, run: Callable[[Any], object], *, needs_open_events: bool) -> NoReturn:
        raise NotImplementedError

    def wait(self) -> None:
        print("renewed", flush=True)

    def interrupt(self) -> None: ...

    def finish(self, *, is_failed: bool) -> None: ...


async def main() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    writer: Any = GroupWriter(PrintingCommitter(), loop=asyncio.get_running_loop(), on_durable=lambda _sequence: None)
    await writer.wait_ended()


if __name__ == "__main__":
    asyncio.run(main())

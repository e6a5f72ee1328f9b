"""The threads that decode. A participant stays on one thread, so that its frames are decoded in order.

FFmpeg releases Python's interpreter lock while it decodes, so the threads use several cores, and the event loop of the
process goes on.
"""

import queue
import threading
from collections.abc import Callable
from typing import Final

import structlog

MAX_DECODING_THREADS: Final = 4

_log = structlog.get_logger(__name__)


class DecodingThread:
    """One thread and the number of participants on it."""

    def __init__(self, number: int) -> None:
        self.participants = 0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"decoding-{number}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on this thread, behind what was submitted before. The caller bounds what it submits."""
        self._work.put(work)

    def stop(self) -> None:
        """Let the thread end behind what was submitted."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - a broken stream of one participant must not end the others
                _log.exception("a frame could not be decoded")


class DecodingThreads:
    """All decoding threads of a process."""

    def __init__(self, count: int) -> None:
        self._threads = [DecodingThread(number) for number in range(max(1, min(count, MAX_DECODING_THREADS)))]

    def join(self) -> DecodingThread:
        """Return the thread with the fewest participants, for one more."""
        thread = min(self._threads, key=lambda each: each.participants)
        thread.participants += 1
        return thread

    def leave(self, thread: DecodingThread) -> None:
        """A participant of a thread has left."""
        thread.participants -= 1

    def stop(self) -> None:
        """End the threads."""
        for thread in self._threads:
            thread.stop()

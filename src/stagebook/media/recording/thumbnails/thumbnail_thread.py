"""Makes thumbnails in a thread of their own: a large keyframe takes tens of milliseconds, in which the event loop would
read no tap.

What waits for the thread is bounded: the oldest picture is dropped for a newer one, and its recording takes its next
keyframe.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from stagebook.media.recording.thumbnails.thumbnail_writer import Thumbnail, ThumbnailMaker, make_thumbnail

MAX_WAITING: Final = 16
"""Of one picture for each recording, as a rule."""


class _Waiting(NamedTuple):
    body: bytes
    done: Callable[[Thumbnail], None]


class ThumbnailThread:
    """One thread for all recordings of a process. Its methods are called on the event loop's thread."""

    def __init__(self, *, make: Callable[[bytes], Thumbnail] = make_thumbnail) -> None:
        self._make = make
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="thumbnails")
        self._waiting: deque[_Waiting] = deque()
        self._is_busy = False
        self.dropped = 0
        """How many pictures were dropped for newer ones."""

    @property
    def maker(self) -> ThumbnailMaker:
        """What a ThumbnailWriter is made with."""
        return self._submit

    def stop(self) -> None:
        """Make no more thumbnails. Those that wait are dropped."""
        self._waiting.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, body: bytes, done: Callable[[Thumbnail], None]) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            oldest = self._waiting.popleft()
            # Not from here: the caller is another recording.
            asyncio.get_running_loop().call_soon(oldest.done, Thumbnail(jpeg=None, is_dropped=True))
        self._waiting.append(_Waiting(body, done))
        self._begin_next()

    def _begin_next(self) -> None:
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        each = self._waiting.popleft()
        making = asyncio.get_running_loop().run_in_executor(self._executor, self._make, each.body)
        making.add_done_callback(lambda made: self._finish(each, made))

    def _finish(self, each: _Waiting, made: "asyncio.Future[Thumbnail]") -> None:
        self._is_busy = False
        if made.cancelled():
            return
        each.done(Thumbnail(jpeg=None) if made.exception() is not None else made.result())
        self._begin_next()

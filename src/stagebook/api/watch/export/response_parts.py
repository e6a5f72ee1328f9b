"""Responses of any length, which are read part by part: how many there may be, and reads that wait for their turn.

Each part is read in a history process when the part before has been sent. A client that reads slowly costs its
connection and one part of memory; it holds no history process and no read transaction.
"""

import asyncio
from collections.abc import Callable
from typing import Concatenate

from stagebook.history.history_files import HistoryFiles
from stagebook.history.history_reader import HistoryReader, Parameters, Result
from stagebook.stage.errors import ServerBusyError

RESPONSES_AT_ONCE = 16
"""Exports and attendance sheets together. One account may have three quarters of them, and one key half."""

BUSY_ATTEMPTS = 30
BUSY_SECONDS = 1.0
"""The time between two attempts to read a part."""


class PartReader:
    """Implements `HistoryReader` for a response that has begun: it waits while the history is busy.

    A refusal would cut the response.
    """

    def __init__(self, history: HistoryReader, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._history = history
        self._busy_seconds = busy_seconds

    async def run(
        self,
        read: Callable[Concatenate[HistoryFiles, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """See `HistoryReader.run`. Raises ServerBusyError after BUSY_ATTEMPTS refusals."""
        for _ in range(BUSY_ATTEMPTS):
            try:
                return await self._history.run(read, *args, **kwargs)
            except ServerBusyError:
                await asyncio.sleep(self._busy_seconds)
        raise ServerBusyError("the response could not go on: try again")

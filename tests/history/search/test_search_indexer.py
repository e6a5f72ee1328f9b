"""The task that keeps the search index up to date: until it is complete, after new events, and after failures."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stagebook.history.search.search_indexer import SearchIndexer, continue_index, trim_index
from stagebook.stage.errors import ServerBusyError

Outcome = bool | Exception
MORE, DONE = True, False


class ScriptedHistory:
    """A history reader that answers each read from a list, and then waits for ever."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.reads: list[Callable[..., Any]] = []
        self.used = asyncio.Event()
        self.used_up = asyncio.Event()

    async def run(self, read: Callable[..., Any], *_args: Any, **_kwargs: Any) -> Any:  # noqa: ANN401 - of any read
        if not self._outcomes:
            self.used_up.set()
            await asyncio.Event().wait()
        self.reads.append(read)
        self.used.set()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_a_start_completes_the_index() -> None:
    history = ScriptedHistory(MORE, MORE)
    indexer = SearchIndexer(history, delay_seconds=0)
    indexer.start()
    await history.used_up.wait()
    await indexer.stop()
    assert history.reads == [continue_index, continue_index]


async def test_new_events_continue_the_index() -> None:
    history = ScriptedHistory(DONE)
    indexer = SearchIndexer(history, delay_seconds=0)
    indexer.start()
    await history.used.wait()
    indexer.note_durable()
    await history.used_up.wait()
    await indexer.stop()


async def test_a_busy_reader_is_asked_again() -> None:
    history = ScriptedHistory(ServerBusyError("busy"))
    indexer = SearchIndexer(history, delay_seconds=0)
    indexer.start()
    await history.used_up.wait()
    await indexer.stop()


async def test_a_failure_does_not_end_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    history = ScriptedHistory(RuntimeError("the disk is full"))
    indexer = SearchIndexer(history, delay_seconds=0)
    indexer.start()
    await history.used.wait()
    indexer.note_durable()
    await history.used_up.wait()
    await indexer.stop()
    assert "the disk is full" in capsys.readouterr().out


async def test_deleted_events_are_looked_for_at_intervals() -> None:
    history = ScriptedHistory(DONE, MORE, DONE)
    indexer = SearchIndexer(history, delay_seconds=0, trim_interval_seconds=0)
    indexer.start()
    await history.used_up.wait()
    await indexer.stop()
    assert trim_index in history.reads

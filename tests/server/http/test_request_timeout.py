"""The timer of what a connection waits for."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from stagebook.server.http.request_timeout import AwaitedInput, RequestTimeout


class ManualLoop(asyncio.BaseEventLoop):
    """An event loop that runs nothing: it keeps the timers for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[asyncio.TimerHandle] = []
        self.delays: list[float] = []

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, **_: object
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(delay, callback, args, self)
        self.started.append(timer)
        self.delays.append(delay)
        return timer

    def expire(self) -> None:
        """Let the time of the newest timer pass, unless it was cancelled."""
        if not self.started[-1].cancelled():
            self.started[-1]._run()


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    loop = ManualLoop()
    yield loop
    loop.close()


@pytest.mark.parametrize(
    ("awaited", "seconds"),
    [
        (AwaitedInput.FIRST_BYTE, 8.0),
        (AwaitedInput.REQUEST, 8.0),
        (AwaitedInput.LATE_BODY, 2.0),
        (AwaitedInput.LAST_BYTES, 2.0),
    ],
)
def test_each_input_has_its_time_and_is_reported_once(loop: ManualLoop, awaited: AwaitedInput, seconds: float) -> None:
    reported: list[AwaitedInput] = []
    timeout = RequestTimeout(loop=loop, request_seconds=8.0)
    timeout.start(awaited, reported.append)
    loop.expire()
    assert (loop.delays, reported) == ([seconds], [awaited])
    assert not timeout.is_request_awaited


def test_what_is_awaited_next_replaces_what_was(loop: ManualLoop) -> None:
    reported: list[AwaitedInput] = []
    timeout = RequestTimeout(loop=loop, request_seconds=8.0)
    timeout.start(AwaitedInput.FIRST_BYTE, reported.append)
    timeout.start(AwaitedInput.REQUEST, reported.append)
    assert [timer.cancelled() for timer in loop.started] == [True, False]
    loop.expire()
    assert reported == [AwaitedInput.REQUEST]


def test_nothing_is_reported_after_a_stop(loop: ManualLoop) -> None:
    reported: list[AwaitedInput] = []
    timeout = RequestTimeout(loop=loop, request_seconds=8.0)
    timeout.start(AwaitedInput.REQUEST, reported.append)
    timeout.stop()
    loop.expire()
    assert reported == []
    assert not timeout.is_request_awaited


@pytest.mark.parametrize("awaited", AwaitedInput)
def test_a_request_is_awaited_until_it_is_complete_or_too_late(loop: ManualLoop, awaited: AwaitedInput) -> None:
    timeout = RequestTimeout(loop=loop, request_seconds=8.0)
    timeout.start(awaited, lambda _: None)
    assert timeout.is_request_awaited == (awaited in {AwaitedInput.REQUEST, AwaitedInput.LATE_BODY})


def test_a_callback_may_wait_for_more(loop: ManualLoop) -> None:
    reported: list[AwaitedInput] = []
    timeout = RequestTimeout(loop=loop, request_seconds=8.0)

    def more(awaited: AwaitedInput) -> None:
        reported.append(awaited)
        if awaited is AwaitedInput.REQUEST:
            timeout.start(AwaitedInput.LATE_BODY, more)

    timeout.start(AwaitedInput.REQUEST, more)
    loop.expire()
    assert timeout.is_request_awaited
    loop.expire()
    assert reported == [AwaitedInput.REQUEST, AwaitedInput.LATE_BODY]

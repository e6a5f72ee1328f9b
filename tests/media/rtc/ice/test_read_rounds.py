"""When a socket is read: on a scripted event loop, whose time passes by its timers alone."""

from collections.abc import Callable

import pytest

from stagebook.media.rtc.ice.read_rounds import MAX_PAUSE_SECONDS, ReadRounds, pause_seconds

DESCRIPTOR = 7
FULL_READ = 64


class ScriptedTimer:
    """A timer of the loop."""

    def __init__(self, due_at: float, callback: Callable[[], None]) -> None:
        self.due_at = due_at
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not make the call."""
        self.is_cancelled = True


class ScriptedLoop:
    """An event loop with one descriptor and at most one timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reader: Callable[[], None] | None = None
        self.timer: ScriptedTimer | None = None

    def time(self) -> float:
        """Monotonic seconds."""
        return self.now

    def add_reader(self, fd: int, callback: Callable[[], None], /) -> None:
        """Watch the descriptor."""
        assert fd == DESCRIPTOR
        self.reader = callback

    def remove_reader(self, fd: int, /) -> bool:
        """Watch the descriptor no more."""
        assert fd == DESCRIPTOR
        was_watched, self.reader = self.reader is not None, None
        return was_watched

    def call_later(self, delay: float, callback: Callable[[], None], /) -> ScriptedTimer:
        """Set the timer."""
        self.timer = ScriptedTimer(self.now + delay, callback)
        return self.timer

    def run_timer(self) -> None:
        """Let the time pass until the timer is due, and call it."""
        timer, self.timer = self.timer, None
        assert timer is not None
        assert not timer.is_cancelled
        self.now = max(self.now, timer.due_at)
        timer.callback()


class Socket:
    """A socket in which datagrams arrive at a rate."""

    def __init__(self, *, connections: int, per_second: float) -> None:
        self.loop = ScriptedLoop()
        self.per_second = per_second
        self.reads: list[tuple[int, bool]] = []
        """The datagrams of each read, and whether it followed a pause."""
        self.waiting = 0.0
        self._read_at = 0.0
        self.rounds = ReadRounds(
            self.loop, DESCRIPTOR, read=self.read, max_datagrams=FULL_READ, connections=lambda: connections
        )
        self.rounds.start()

    def read(self, *, after_pause: bool) -> int:
        """Read what has arrived."""
        self.waiting += (self.loop.now - self._read_at) * self.per_second
        self._read_at = self.loop.now
        count = min(FULL_READ, int(self.waiting))
        self.waiting -= count
        self.reads.append((count, after_pause))
        return count

    def run(self, seconds: float) -> None:
        """Let the time pass, with a wake-up for each datagram while the socket is watched."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            if self.loop.reader is not None:
                self.loop.now += 1 / self.per_second
                self.loop.reader()
            else:
                self.loop.run_timer()


@pytest.mark.parametrize(
    ("datagrams_per_second", "connections", "milliseconds"),
    [
        (100_000, 8, 0),
        (100_000, 32, 0),
        (100_000, 47, 0),
        (100_000, 64, 2),
        (100_000, 96, 4),
        (100_000, 5_000, 4),
        (750, 5_000, 4),
        (749, 5_000, 0),
        (0, 5_000, 0),
    ],
)
def test_the_pause_follows_the_connections_and_is_none_where_little_arrives(
    datagrams_per_second: float, connections: int, milliseconds: float
) -> None:
    pause = pause_seconds(datagrams_per_second=datagrams_per_second, connections=connections)
    assert pause * 1000 == pytest.approx(milliseconds)


def test_a_busy_socket_is_read_once_in_a_pause_and_all_of_it() -> None:
    socket = Socket(connections=144, per_second=3000)
    socket.run(0.2)
    socket.reads.clear()
    socket.run(1.0)
    assert len(socket.reads) == pytest.approx(1 / MAX_PAUSE_SECONDS, abs=2)
    assert all(after_pause for _, after_pause in socket.reads)
    assert sum(count for count, _ in socket.reads) == pytest.approx(3000, abs=20)


def test_with_few_connections_each_datagram_is_read_at_once() -> None:
    socket = Socket(connections=9, per_second=3000)
    socket.run(1.0)
    assert set(socket.reads) <= {(1, False), (0, False), (2, False)}
    assert socket.loop.timer is None


def test_a_socket_is_watched_again_when_little_arrives() -> None:
    socket = Socket(connections=144, per_second=3000)
    socket.run(0.2)
    socket.per_second = 100
    socket.run(0.5)
    assert [after_pause for _, after_pause in socket.reads[-3:]] == [False] * 3


def test_what_a_full_read_has_left_is_read_in_the_next_turn_of_the_loop() -> None:
    socket = Socket(connections=144, per_second=3000)
    socket.run(0.2)
    socket.waiting = 3 * FULL_READ
    started = socket.loop.now + MAX_PAUSE_SECONDS
    socket.reads.clear()
    for _ in range(4):
        socket.loop.run_timer()
    assert [count for count, _ in socket.reads][:3] == [FULL_READ] * 3
    assert socket.loop.now == pytest.approx(started)


def test_a_read_that_fails_does_not_end_the_rounds() -> None:
    socket = Socket(connections=144, per_second=3000)
    socket.run(0.2)

    def fail(*, after_pause: bool) -> int:
        raise RuntimeError(f"a bug, {after_pause=}")

    socket.rounds._read = fail
    with pytest.raises(RuntimeError, match="a bug"):
        socket.loop.run_timer()
    assert socket.loop.timer is not None


@pytest.mark.parametrize("per_second", [100, 3000])
def test_nothing_is_read_after_the_stop(per_second: float) -> None:
    socket = Socket(connections=144, per_second=per_second)
    socket.run(0.2)
    timer = socket.loop.timer
    socket.rounds.stop()
    assert socket.loop.reader is None
    assert timer is None or timer.is_cancelled

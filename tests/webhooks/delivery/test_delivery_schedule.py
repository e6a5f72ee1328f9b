"""The schedule of a delivery run: order within a session, retries, ages, bounds, and what a crash repeats.

The last test is a simulation: a receiver that fails in many ways, a process that crashes at any moment, a test clock.
"""

import random

import pytest

from stagebook.webhooks.delivery.delivery_schedule import (
    DeliveryAttempt,
    DeliverySchedule,
    DeliveryState,
    Progress,
    ScheduleLimits,
)
from stagebook.webhooks.delivery_outcome import Delivered, Failed, Missing, Outcome

SECOND = 1_000
HOUR = 3_600 * SECOND
START = 1_700_000_000_000
OK = Delivered(status=200)
ERROR = Failed(reason="500", status=500)


def sequence(number: int) -> int:
    """Return the sequence number of the event with this number; one millisecond lies between two."""
    return (START + number) << 20


def schedule(progress: Progress | None = None, **limits: int) -> DeliverySchedule:
    """Return a schedule whose delays have no jitter: each is half of its maximum."""
    bounds = ScheduleLimits(**({"max_age_ms": 24 * HOUR} | limits))
    return DeliverySchedule(progress or Progress(position=0), limits=bounds, random=lambda: 0.0)


def add(plan: DeliverySchedule, sessions: str, *, first: int = 1) -> None:
    """Add an event for each letter, which is the id of its session."""
    events = [(sequence(number), name) for number, name in enumerate(sessions, start=first)]
    plan.add(events, read_to=events[-1][0])


def take(plan: DeliverySchedule, now_ms: int = START) -> DeliveryAttempt:
    attempt = plan.take(now_ms)
    assert attempt is not None
    return attempt


def fail(plan: DeliverySchedule, now_ms: int, outcome: Outcome = ERROR) -> DeliveryAttempt:
    attempt = take(plan, now_ms)
    plan.settle(attempt, outcome, now_ms=now_ms)
    return attempt


def test_sessions_are_attempted_side_by_side_and_each_in_order() -> None:
    plan = schedule()
    add(plan, "aab")
    first, second = take(plan), take(plan)
    assert [(each.session_id, each.sequence) for each in (first, second)] == [("a", sequence(1)), ("b", sequence(3))]
    assert plan.take(START) is None
    plan.settle(first, OK, now_ms=START)
    assert take(plan).sequence == sequence(2)


def test_the_position_waits_for_the_oldest_event() -> None:
    plan = schedule()
    add(plan, "abc")
    a, b, c = take(plan), take(plan), take(plan)
    plan.settle(b, OK, now_ms=START)
    plan.settle(c, OK, now_ms=START)
    assert plan.progress() == Progress(position=sequence(1) - 1)
    plan.settle(a, OK, now_ms=START)
    assert plan.progress() == Progress(position=sequence(3))


def test_a_blocked_session_does_not_hold_the_position() -> None:
    plan = schedule()
    add(plan, "ab")
    fail(plan, START)
    plan.settle(take(plan), OK, now_ms=START)
    assert plan.progress() == Progress(position=sequence(2), lagging={"a": sequence(1) - 1})


def test_a_run_that_is_continued_repeats_only_the_sessions_that_lag() -> None:
    plan = schedule(Progress(position=sequence(4), lagging={"a": sequence(1)}))
    assert plan.read_position == sequence(1)
    add(plan, "bab", first=2)
    assert plan.progress() == Progress(position=sequence(4), lagging={"a": sequence(3) - 1})
    add(plan, "c", first=5)
    assert [take(plan).sequence for _ in range(2)] == [sequence(3), sequence(5)]
    assert plan.pending == 2


def test_while_events_are_read_again_a_session_lags_as_far_as_they_have_been_read() -> None:
    plan = schedule(Progress(position=sequence(9), lagging={"a": sequence(1)}))
    add(plan, "bb", first=2)
    assert plan.progress() == Progress(position=sequence(9), lagging={"a": sequence(3)})


def test_the_delay_doubles_up_to_its_maximum() -> None:
    plan = schedule(max_retry_ms=10 * SECOND)
    add(plan, "a")
    now, delays = START, []
    for _ in range(6):
        fail(plan, now)
        due = plan.next_time_ms(now)
        assert due is not None
        assert plan.take(due - 1) is None
        delays.append(due - now)
        now = due
    assert delays == [500, 1_000, 2_000, 4_000, 5_000, 5_000]


def test_the_jitter_is_at_most_half_of_the_delay() -> None:
    plan = DeliverySchedule(Progress(position=0), limits=ScheduleLimits(max_age_ms=HOUR), random=lambda: 0.999999)
    add(plan, "a")
    fail(plan, START)
    assert plan.next_time_ms(START) == START + 999


def test_a_success_ends_the_delays_of_its_session() -> None:
    plan = schedule()
    add(plan, "aa")
    fail(plan, START)
    plan.settle(take(plan, START + HOUR), OK, now_ms=START + HOUR)
    assert take(plan, START + HOUR).sequence == sequence(2)
    assert plan.blocked_sessions == 0


def test_an_event_that_fails_at_the_maximum_age_is_dead_and_its_session_goes_on() -> None:
    plan = schedule(max_age_ms=HOUR)
    add(plan, "aa")
    attempt = take(plan)
    assert plan.settle(attempt, ERROR, now_ms=START + HOUR).state is DeliveryState.RETRYING
    attempt = take(plan, START + HOUR + SECOND)
    assert attempt.number == 2
    assert plan.settle(attempt, ERROR, now_ms=START + HOUR + SECOND).state is DeliveryState.DEAD
    following = take(plan, START + HOUR + 10 * SECOND)
    assert (following.sequence, following.number) == (sequence(2), 1)


def test_the_age_counts_from_the_begin_of_a_replay() -> None:
    plan = DeliverySchedule(
        Progress(position=0), limits=ScheduleLimits(max_age_ms=HOUR), random=lambda: 0.0, since_ms=START + 100 * HOUR
    )
    add(plan, "a")
    assert plan.settle(take(plan), ERROR, now_ms=START + 100 * HOUR).state is DeliveryState.RETRYING


def test_an_event_that_the_book_has_lost_is_dead() -> None:
    plan = schedule()
    add(plan, "ab")
    assert plan.settle(take(plan), Missing(), now_ms=START).state is DeliveryState.DEAD
    assert plan.blocked_sessions == 0
    assert plan.progress() == Progress(position=sequence(2) - 1)


def test_the_destination_waits_while_too_many_sessions_are_blocked() -> None:
    plan = schedule(max_blocked_sessions=2)
    add(plan, "abc")
    fail(plan, START)
    fail(plan, START)
    assert plan.take(START) is None
    retry = take(plan, START + SECOND)
    plan.settle(retry, OK, now_ms=START + SECOND)
    assert {take(plan, START + SECOND).session_id for _ in range(2)} == {"b", "c"}


def test_retries_leave_room_for_other_sessions() -> None:
    plan = schedule(max_in_flight=4)
    add(plan, "abc")
    for _ in range(3):
        fail(plan, START)
    later = START + HOUR
    add(plan, "de", first=10)
    assert [take(plan, later).session_id for _ in range(4)] == ["a", "b", "d", "e"]
    assert plan.take(later) is None


def test_a_pause_that_the_receiver_asks_for_holds_the_destination() -> None:
    plan = schedule()
    add(plan, "ab")
    fail(plan, START, Failed(reason="429", retry_after_ms=60 * SECOND))
    assert plan.take(START + 59 * SECOND) is None
    assert plan.next_time_ms(START) == START + 60 * SECOND
    assert take(plan, START + 60 * SECOND).session_id == "a"


def test_a_pause_is_bounded() -> None:
    plan = schedule(max_pause_ms=SECOND)
    add(plan, "a")
    fail(plan, START, Failed(reason="429", retry_after_ms=1_000 * HOUR))
    assert plan.next_time_ms(START) == START + SECOND


def test_all_sessions_are_due_when_the_receiver_is_back() -> None:
    plan = schedule()
    add(plan, "abcd")
    now = START
    for _ in range(40):
        now += 300 * SECOND
        while (attempt := plan.take(now)) is not None:
            plan.settle(attempt, ERROR, now_ms=now)
    due = plan.next_time_ms(now)
    assert due is not None
    plan.settle(take(plan, due), OK, now_ms=due)
    assert [take(plan, due).session_id for _ in range(3)]


def test_no_more_is_read_than_the_bound() -> None:
    plan = schedule(max_pending=3)
    add(plan, "ab")
    assert plan.wants_events
    add(plan, "ab", first=3)
    assert not plan.wants_events


def test_a_dead_receiver_is_called_at_a_bounded_rate() -> None:
    """Events die one after the other, but each after the delay that its session has reached."""
    plan = schedule(max_age_ms=0)
    add(plan, "a" * 1_000)
    now, attempts = START + 1_000, 0
    while now < START + 10 * HOUR:
        while (attempt := plan.take(now)) is not None:
            attempts += 1
            assert plan.settle(attempt, ERROR, now_ms=now).state is DeliveryState.DEAD
        now = plan.next_time_ms(now) or now
    # Half of 5 minutes, without jitter, is the longest delay.
    assert attempts < 10 * 24 + 10


def test_a_session_whose_last_event_is_dead_blocks_nothing() -> None:
    plan = schedule(max_age_ms=0, max_blocked_sessions=1)
    add(plan, "ab")
    fail(plan, START + HOUR)
    assert plan.blocked_sessions == 0
    assert take(plan, START + HOUR).session_id == "b"


def test_an_hour_of_errors_costs_few_attempts_and_delays_nothing_afterwards() -> None:
    """Three sessions with ten events each; the receiver answers 500 for an hour, then it accepts."""
    plan = schedule()
    add(plan, "abc" * 10)
    now, attempts, arrived = START, 0, []
    while now < START + HOUR:
        while (attempt := plan.take(now)) is not None:
            attempts += 1
            plan.settle(attempt, ERROR, now_ms=now)
        now = plan.next_time_ms(now) or now
    assert attempts < 3 * 40
    first = now
    while plan.pending:
        attempt = plan.take(now)
        if attempt is None:
            now = plan.next_time_ms(now) or now
            continue
        arrived.append(attempt.sequence)
        plan.settle(attempt, OK, now_ms=now)
    assert now == first, "the first success makes everything due"
    assert sorted(arrived) == [sequence(number) for number in range(1, 31)]
    for offset in range(3):
        mine = [each for each in arrived if ((each >> 20) - START - 1) % 3 == offset]
        assert mine == sorted(mine)


class World:
    """A book of events, a receiver, and what has been stored; the process can be made anew at any moment."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = START
        self.book: list[tuple[int, str]] = []
        self.stored = Progress(position=0)
        self.received: dict[str, list[int]] = {}
        self.dead: set[int] = set()
        self.down_until_ms = 0
        self.poisonous = {number for number in range(1, 400) if self.random.random() < 0.01}
        self.start()

    def start(self) -> None:
        limits = ScheduleLimits(
            max_age_ms=2 * HOUR,
            max_in_flight=self.random.choice([1, 2, 8]),
            max_blocked_sessions=self.random.choice([1, 3, 100]),
            max_pending=self.random.choice([1, 20, 1_000]),
        )
        self.plan = DeliverySchedule(self.stored, limits=limits, random=self.random.random)
        self.in_flight: list[DeliveryAttempt] = []

    def append(self, number: int) -> None:
        self.book.append((sequence(number), self.random.choice("abcdefgh")))

    def step(self) -> None:
        match self.random.randrange(10):
            case 0 | 1:
                self.read()
            case 2 | 3 | 4:
                if (attempt := self.plan.take(self.now_ms)) is not None:
                    self.in_flight.append(attempt)
            case 5 | 6 | 7:
                self.answer()
            case 8:
                self.now_ms += self.random.choice([10, SECOND, 60 * SECOND])
            case _:
                self.store_or_crash()

    def read(self) -> None:
        page = [each for each in self.book if each[0] > self.plan.read_position][: self.random.randrange(1, 30)]
        if self.plan.wants_events and page:
            wanted = [each for each in page if each[1] != "h"]
            self.plan.add(wanted, read_to=page[-1][0])

    def answer(self) -> None:
        if not self.in_flight:
            return
        attempt = self.in_flight.pop(self.random.randrange(len(self.in_flight)))
        number = (attempt.sequence >> 20) - START
        is_down = self.now_ms < self.down_until_ms
        outcome: Outcome = ERROR if is_down or number in self.poisonous else OK
        if not is_down:
            self.received.setdefault(attempt.session_id, []).append(attempt.sequence)
        settlement = self.plan.settle(attempt, outcome, now_ms=self.now_ms)
        if settlement.state is DeliveryState.DEAD:
            self.dead.add(attempt.sequence)

    def store_or_crash(self) -> None:
        if self.random.random() < 0.7:
            self.stored = self.plan.progress()
        elif self.random.random() < 0.3:
            # What was in flight may have arrived, without anybody knowing it.
            while self.in_flight and self.random.random() < 0.5:
                self.answer()
            self.start()
        elif self.random.random() < 0.2:
            self.down_until_ms = self.now_ms + self.random.choice([SECOND, HOUR])

    def is_done(self) -> bool:
        last = self.book[-1][0]
        return self.plan.progress() == Progress(position=last)


@pytest.mark.parametrize("seed", range(60))
def test_every_event_arrives_in_order_whatever_fails(seed: int) -> None:
    world = World(seed)
    for number in range(1, 200):
        world.append(number)
        for _ in range(10):
            world.step()
    for _ in range(200_000):
        if world.is_done():
            break
        world.step()
    assert world.is_done()
    for name in "abcdefg":
        expected = [each for each, session_id in world.book if session_id == name]
        arrived = world.received.get(name, [])
        accepted = [each for each in arrived if (each >> 20) - START not in world.poisonous]
        assert set(accepted) | world.dead >= set(expected)
        # At any moment, all events before the one that arrives have arrived or are dead.
        newest = -1
        for each in arrived:
            index = expected.index(each)
            skipped = [missing for missing in expected[newest + 1 : index] if missing not in world.dead]
            assert not skipped, f"{name}: {skipped} did not arrive before {each}"
            newest = max(newest, index)
    assert "h" not in world.received

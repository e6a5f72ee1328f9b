"""Timers by key: set, replaced, cancelled and due, compared with a sorted list."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.session.timer_queue import _SLACK, Timer, TimerQueue
from stagebook.stage.session.session_facts import DurationElapsed, LingerElapsed


def timer(due_ms: int, name: str = "x") -> Timer:
    fact = DurationElapsed(participant_id=name, connection_id=name)
    return Timer(stage_arn="stage", due_ms=due_ms, fact=fact)


def names(queue: TimerQueue, now_ms: int) -> list[str]:
    """The names of the timers that are due, taken out of the queue."""
    return [each.fact.participant_id for each in queue.due(now_ms) if isinstance(each.fact, DurationElapsed)]


def queue_of(**due_ms: int) -> TimerQueue:
    queue = TimerQueue()
    for key, due in due_ms.items():
        queue.set(key, timer(due, key))
    return queue


def test_timers_are_due_in_the_order_of_their_times() -> None:
    queue = queue_of(c=30, a=10, b=20, d=40)

    assert names(queue, 9) == []
    assert names(queue, 30) == ["a", "b", "c"]
    assert len(queue) == 1
    assert names(queue, 40) == ["d"]


def test_a_timer_is_due_once() -> None:
    queue = queue_of(a=10)

    assert names(queue, 10) == ["a"]
    assert names(queue, 10) == []
    assert (len(queue), queue.size) == (0, 0)


def test_the_next_timer_is_the_earliest_that_is_set() -> None:
    queue = queue_of(a=10, b=20, c=30)
    queue.cancel("a")
    queue.set("b", timer(40, "b"))

    assert queue.next_due_ms == 30
    assert names(queue, 40) == ["c", "b"]
    assert queue.next_due_ms is None


def test_a_timer_carries_its_stage_and_fact() -> None:
    queue = TimerQueue()
    linger = Timer(stage_arn="here", due_ms=5, fact=LingerElapsed())
    queue.set("linger", linger)

    assert list(queue.due(5)) == [linger]


def test_setting_a_key_again_replaces_its_timer() -> None:
    queue = queue_of(a=10)
    queue.set("a", timer(20, "later"))

    assert names(queue, 19) == []
    assert names(queue, 20) == ["later"]

    queue.set("a", timer(40, "late"))
    queue.set("a", timer(30, "earlier"))
    assert names(queue, 50) == ["earlier"]


def test_a_key_that_is_set_again_for_the_same_time_is_due_once() -> None:
    queue = queue_of(a=10)
    queue.cancel("a")
    queue.set("a", timer(10, "again"))
    queue.set("a", timer(10, "newest"))

    assert names(queue, 10) == ["newest"]
    assert names(queue, 10) == []


def test_a_cancelled_timer_is_never_due() -> None:
    queue = queue_of(a=10, b=20)
    queue.cancel("a")
    queue.cancel("unknown")

    assert len(queue) == 1
    assert names(queue, 100) == ["b"]


def test_timers_can_change_while_the_due_ones_are_taken() -> None:
    queue = queue_of(a=10, b=20, c=30)
    seen = []
    for each in queue.due(30):
        assert isinstance(each.fact, DurationElapsed)
        seen.append(each.fact.participant_id)
        queue.cancel("b")
        queue.set("d", timer(31, "d"))

    assert seen == ["a", "c"]
    assert names(queue, 31) == ["d"]


def test_a_key_that_is_replaced_for_ever_needs_no_more_memory() -> None:
    queue = queue_of(a=0)
    for number in range(10_000):
        queue.set("a", timer(number))
        assert queue.size <= 2 * len(queue) + _SLACK + 1


def test_timers_that_are_set_and_cancelled_for_ever_need_no_more_memory() -> None:
    queue = TimerQueue()
    for number in range(10_000):
        queue.set(f"key-{number}", timer(number + 10))
        queue.cancel(f"key-{number}")

    assert len(queue) == 0
    assert queue.size <= _SLACK


KEYS = [f"k{number}" for number in range(150)]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(KEYS), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("due"), st.just(""), st.integers(0, 60)),
    ),
    max_size=400,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_it_behaves_like_a_sorted_list(actions: list[tuple[str, str, int]]) -> None:
    queue, expected, now_ms = TimerQueue(), dict[str, int](), 0
    for number, (action, key, value) in enumerate(actions):
        if action == "set":
            queue.set(key, timer(now_ms + value, f"{key}/{number}"))
            expected[f"{key}/{number}"] = now_ms + value
            for other in [each for each in expected if each.startswith(f"{key}/") and each != f"{key}/{number}"]:
                del expected[other]
        elif action == "cancel":
            queue.cancel(key)
            expected = {each: due for each, due in expected.items() if not each.startswith(f"{key}/")}
        else:
            now_ms += value
            due = {each: at for each, at in expected.items() if at <= now_ms}
            assert names(queue, now_ms) == sorted(due, key=lambda each: (due[each], each.partition("/")[0]))
            expected = {each: at for each, at in expected.items() if at > now_ms}
        assert len(queue) == len(expected)
        assert queue.size <= 2 * len(queue) + _SLACK + 1


def test_a_timer_is_taken_before_it_is_due() -> None:
    queue = TimerQueue()
    queue.set("a", timer(10))
    queue.set("b", timer(20))
    assert queue.take("a") == timer(10)
    assert queue.take("a") is None
    assert list(queue.due(30)) == [timer(20)]

"""How many bytes of lists and changes a stage's watchers are sent, counted in virtual time."""

import asyncio
import math
from itertools import pairwise

import msgspec
import pytest

from stagebook.manager.presence.presence import WATCHERS_PER_TURN, PresencePublisher
from stagebook.manager.presence.presence_pace import BYTES_PER_SECOND, GATHER_SECONDS
from stagebook.manager.presence.stage_list import StageList
from stagebook.manager.presence.watched_stage import CHANGES_GATHER_MAXIMUM_SECONDS, ENCODING_WATCHERS, SENDING_BYTES
from tests.manager.presence.paced_stage import PacedStage, run
from tests.stage.session.decided_session import DecidedSession, ended, publish


@pytest.mark.parametrize("joins_per_second", [100, 1_000, 100_000])
@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_a_burst_of_n_joins_costs_each_watcher_o_n_log_n_bytes(count: int, joins_per_second: float) -> None:
    async def measure() -> PacedStage:
        stage = PacedStage()
        await stage.burst(count, joins_per_second=joins_per_second)
        return stage

    stage = run(measure())
    entry_bytes = stage.list_bytes / count
    for watcher in stage.watchers.values():
        assert len(watcher.known.participants) == count
        assert watcher.size_bytes <= entry_bytes * count * (math.log2(count) + 2)


@pytest.mark.parametrize("joins_per_second", [100, 1_000, 100_000])
@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_a_burst_of_n_joins_costs_each_watcher_that_takes_changes_o_n_bytes(
    count: int, joins_per_second: float
) -> None:
    """Each of the n participants is an entry of the first list or of one change."""

    async def measure() -> PacedStage:
        stage = PacedStage()
        await stage.burst(count, joins_per_second=joins_per_second, takes_changes=True)
        return stage

    stage = run(measure())
    entry_bytes, envelope_bytes = stage.list_bytes / count, 200
    expected = StageList(stage.session).snapshot().participants
    for watcher in stage.watchers.values():
        assert watcher.known.listed == expected
        assert watcher.lists == 1
        assert watcher.changes <= count
        # A participant that appears just before the first list can be in the first change as well.
        assert watcher.size_bytes <= 2 * count * entry_bytes + watcher.changes * envelope_bytes


def test_the_bytes_per_second_of_a_stage_are_bounded_while_it_changes() -> None:
    seconds = 60

    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        await stage.burst(500, joins_per_second=100)
        before = stage.total_bytes
        for _ in range(seconds * 100):
            stage.change()
            await asyncio.sleep(0.01)
        return stage.total_bytes - before, stage.list_bytes * 500

    sent_bytes, one_round_bytes = run(measure())
    assert one_round_bytes * 5 < sent_bytes <= seconds * BYTES_PER_SECOND + one_round_bytes


@pytest.mark.parametrize("changes_per_second", [1, 100])
def test_changes_are_prompt_while_lists_are_paced(changes_per_second: int) -> None:
    """On a stage of 2,000 lists that always changes, the next list comes after seconds, and a change at once."""

    async def measure() -> tuple[list[float], int]:
        stage = PacedStage()
        for number in range(2_000):
            stage.join(f"participant-{number}")
        await asyncio.sleep(1_000)
        prompt = stage.join("prompt", takes_changes=True)
        await asyncio.sleep(1_000)
        lists_before, delays = stage.watchers["participant-0"].lists, []
        for _ in range(10 * changes_per_second):
            stage.change()
            changed_seconds = asyncio.get_running_loop().time()
            await asyncio.sleep(1 / changes_per_second)
            if prompt.last_seconds >= changed_seconds:
                delays.append(prompt.last_seconds - changed_seconds)
        return delays, stage.watchers["participant-0"].lists - lists_before

    delays, lists = run(measure())
    assert delays
    assert max(delays) <= CHANGES_GATHER_MAXIMUM_SECONDS + GATHER_SECONDS
    assert lists <= 2


def test_the_changes_of_a_stage_are_bounded_in_bytes_and_in_number() -> None:
    seconds, watchers = 20, 1_000

    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        await stage.burst(watchers, joins_per_second=1_000, takes_changes=True)
        before_bytes = stage.total_bytes
        before = stage.total_changes
        for _ in range(seconds * 100):
            stage.change()
            await asyncio.sleep(0.01)
        return stage.total_bytes - before_bytes, stage.total_changes - before

    sent_bytes, messages = run(measure())
    assert messages > watchers * 10
    assert sent_bytes + messages * SENDING_BYTES <= (seconds + 1) * BYTES_PER_SECOND * 1.1


def test_a_participant_that_changes_n_times_is_one_entry() -> None:
    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        watcher = stage.join("watcher", takes_changes=True)
        await asyncio.sleep(10)
        before = watcher.change_bytes
        for _ in range(101):
            stage.change()
        await asyncio.sleep(10)
        return watcher.changes, watcher.change_bytes - before

    changes, size_bytes = run(measure())
    assert changes == 1
    assert size_bytes < 400


def test_a_change_that_is_larger_than_the_list_is_sent_as_the_list() -> None:
    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        watcher = stage.join("watcher", takes_changes=True)
        for number in range(100):
            stage.enter(f"participant-{number}")
        await asyncio.sleep(10)
        for number in range(100):
            stage.apply(ended(f"participant-{number}", f"events-participant-{number}"))
        await asyncio.sleep(10)
        return watcher.lists, len(watcher.known.participants)

    assert run(measure()) == (2, 1)


def test_no_message_overtakes_another_one_that_waits_for_the_book() -> None:
    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        watcher = stage.join("watcher", takes_changes=True)
        await asyncio.sleep(10)
        durable, waiting = asyncio.Event(), 0

        async def first_waits() -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 1:
                await durable.wait()

        stage.publisher._durable = first_waits
        for _ in range(4):
            stage.change()
            await asyncio.sleep(1)
        before = watcher.changes
        durable.set()
        await asyncio.sleep(10)
        return before, watcher.changes

    assert run(measure()) == (0, 2)


def test_other_work_has_its_turn_while_many_watchers_are_shown_a_message() -> None:
    async def measure() -> list[int]:
        stage = PacedStage()
        await stage.burst(3 * WATCHERS_PER_TURN, joins_per_second=1_000, takes_changes=True)
        shown_by_turn = [stage.total_changes]
        counting: list[asyncio.Task[None]] = []

        async def count_turns() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
                shown_by_turn.append(stage.total_changes)

        async def durable() -> None:
            counting.append(asyncio.create_task(count_turns()))

        stage.publisher._durable = durable
        stage.change()
        await asyncio.sleep(10)
        return [later - earlier for earlier, later in pairwise(shown_by_turn)]

    shown = run(measure())
    assert sum(shown) == 3 * WATCHERS_PER_TURN
    assert max(shown) <= 2 * WATCHERS_PER_TURN  # the task that counts begins after the first turn
    assert WATCHERS_PER_TURN <= 8  # about 1 ms of CPU time with the tasks that write


def test_a_commit_that_changes_nothing_visible_sends_nothing() -> None:
    async def measure() -> tuple[int, int, int]:
        stage = PacedStage()
        takes_lists, takes_changes = stage.join("lists"), stage.join("changes", takes_changes=True)
        await asyncio.sleep(10)
        stage.apply(publish("lists", "attempt"))
        await asyncio.sleep(10)
        return takes_lists.lists, takes_changes.lists, takes_changes.changes

    assert run(measure()) == (1, 1, 0)


def test_a_watcher_can_ask_for_the_list_again() -> None:
    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        watcher = stage.join("watcher", takes_changes=True)
        await asyncio.sleep(10)
        stage.publisher.show_again("events-watcher")
        stage.publisher.show_again("events-nobody")
        await asyncio.sleep(10)
        return watcher.lists, watcher.changes

    assert run(measure()) == (2, 0)


def test_a_large_stage_costs_bounded_encoding_for_a_single_watcher() -> None:
    """Encoding is charged too: otherwise one watcher would have a list of any size encoded 100 times per second."""

    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        for number in range(2_000):
            stage.enter(f"participant-{number}")
        watcher = stage.join("watcher")
        for _ in range(1_000):
            stage.change()
            await asyncio.sleep(0.01)
        return watcher.lists, stage.list_bytes

    lists, list_bytes = run(measure())
    assert lists <= 10 * BYTES_PER_SECOND / (list_bytes * ENCODING_WATCHERS) + 2


def test_an_isolated_change_of_a_large_stage_is_shown_at_once() -> None:
    async def measure() -> float:
        stage = PacedStage()
        await stage.burst(500, joins_per_second=1_000)
        changed_seconds = asyncio.get_running_loop().time()
        stage.change()
        await asyncio.sleep(10)
        return max(watcher.last_seconds for watcher in stage.watchers.values()) - changed_seconds

    assert run(measure()) < 2 * GATHER_SECONDS


def test_a_newcomer_does_not_wait_for_others_that_come_together() -> None:
    """With the cost of encoding, 30 lists of 320 KB take 0.4 seconds at the mean rate."""

    async def measure() -> float:
        stage = PacedStage()
        for number in range(2_500):
            stage.enter(f"participant-{number}")
        stage.join("first")
        await asyncio.sleep(2 * GATHER_SECONDS)
        for number in range(20):
            stage.join(f"other-{number}")
        await asyncio.sleep(2 * GATHER_SECONDS)
        joined_seconds = asyncio.get_running_loop().time()
        newcomer = stage.join("late")
        await asyncio.sleep(100)
        assert newcomer.first_seconds is not None
        return newcomer.first_seconds - joined_seconds

    assert run(measure()) <= 2 * GATHER_SECONDS


def test_the_first_lists_of_newcomers_are_bounded_in_the_mean() -> None:
    async def measure() -> tuple[int, float]:
        stage = PacedStage()
        for number in range(2_500):
            stage.enter(f"participant-{number}")
        watcher = stage.join("watcher", takes_changes=True)
        await asyncio.sleep(10)
        started_seconds = asyncio.get_running_loop().time()
        for _ in range(1_000):
            stage.publisher.show_again("events-watcher")
            await asyncio.sleep(GATHER_SECONDS)
        return watcher.list_bytes, asyncio.get_running_loop().time() - started_seconds

    sent_bytes, seconds = run(measure())
    charged_bytes = sent_bytes * (1 + ENCODING_WATCHERS)
    assert 0.9 * seconds * BYTES_PER_SECOND < charged_bytes <= (seconds + 1) * BYTES_PER_SECOND


def test_a_newcomer_does_not_wait_for_the_turn_of_everybody() -> None:
    async def measure() -> tuple[float, float]:
        stage = PacedStage()
        await stage.burst(1_000, joins_per_second=1_000)
        stage.change()
        await asyncio.sleep(2 * GATHER_SECONDS)
        stage.change()
        newcomer = stage.join("late")
        joined_seconds = asyncio.get_running_loop().time()
        await asyncio.sleep(100)
        assert newcomer.first_seconds is not None
        everybody = stage.watchers["participant-0"].last_seconds
        return newcomer.first_seconds - joined_seconds, everybody - joined_seconds

    newcomer_seconds, everybody_seconds = run(measure())
    assert newcomer_seconds < 2 * GATHER_SECONDS
    assert everybody_seconds > 1


@pytest.mark.parametrize("takes_changes", [False, True])
def test_a_newcomer_is_shown_its_list_before_the_messages_of_the_others(*, takes_changes: bool) -> None:
    async def measure() -> tuple[int, int]:
        stage = PacedStage()
        await stage.burst(40, joins_per_second=1_000, takes_changes=takes_changes)
        others = list(stage.watchers.values())
        before = sum(watcher.lists + watcher.changes for watcher in others)
        newcomer = stage.join("late", takes_changes=takes_changes)
        shown_before: list[int] = []

        def note_first() -> None:
            shown_before.append(sum(watcher.lists + watcher.changes for watcher in others) - before)

        newcomer._note_time = note_first  # type: ignore[method-assign]
        await asyncio.sleep(10)
        return shown_before[0], sum(watcher.lists + watcher.changes for watcher in others) - before

    assert run(measure()) == (0, 40)


def test_a_watcher_that_leaves_before_the_snapshot_is_durable_is_not_shown_it() -> None:
    async def measure() -> int:
        stage = PacedStage()
        durable = asyncio.Event()
        stage.publisher._durable = durable.wait  # type: ignore[assignment]
        watcher = stage.join("A")
        await asyncio.sleep(2 * GATHER_SECONDS)
        stage.publisher.remove("events-A")
        durable.set()
        await asyncio.sleep(10)
        return watcher.lists

    assert run(measure()) == 0


def test_a_stage_without_watchers_leaves_nothing_behind() -> None:
    async def measure() -> PresencePublisher:
        stage = PacedStage()
        for number in range(10):
            stage.join(f"participant-{number}")
        for number in range(10):
            stage.publisher.remove(f"events-participant-{number}")
        await asyncio.sleep(1)
        return stage.publisher

    publisher = run(measure())
    assert (publisher._stages, publisher._list_of, publisher._tasks) == ({}, {}, set())


def test_the_size_of_a_snapshot_is_that_of_its_participants_as_json() -> None:
    session = DecidedSession()
    for number in range(50):
        session.open_events(f"participant-{number}")
    snapshot = StageList(session.session).snapshot()
    assert snapshot.size_bytes == pytest.approx(len(msgspec.json.encode(snapshot.participants)), rel=0.05)

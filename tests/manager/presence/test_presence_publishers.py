"""What the watchers that are shown publishers only are sent, counted in virtual time."""

import asyncio
from collections.abc import Callable

from tests.manager.presence.paced_stage import CountingWatcher, PacedStage, run
from tests.stage.session.decided_session import answered, connected, ended, publish


def start_publishing(stage: PacedStage, name: str) -> None:
    stage.apply(publish(name, f"publish-{name}"))
    stage.apply(answered(name, f"publish-{name}"))
    stage.apply(connected(name, f"publish-{name}"))


def published(watcher: CountingWatcher) -> list[str]:
    return [each.participant_id for each in watcher.known.listed]


def test_viewers_that_come_and_go_send_nothing_to_watchers_of_publishers() -> None:
    async def measure() -> tuple[int, int, int]:
        stage = PacedStage()
        publishers = stage.join("publishers", publishers_only=True)
        everybody = stage.join("everybody")
        start_publishing(stage, "publishers")
        await asyncio.sleep(10)
        before = publishers.lists, everybody.lists
        for number in range(20):
            viewer = stage.join(f"viewer-{number}", publishers_only=True)
            await asyncio.sleep(10)
            assert (viewer.lists, published(viewer)) == (1, ["publishers"])
            stage.apply(ended(f"viewer-{number}", f"events-viewer-{number}"))
            stage.publisher.remove(f"events-viewer-{number}")
            await asyncio.sleep(10)
        return publishers.lists - before[0], everybody.lists - before[1], len(published(publishers))

    assert run(measure()) == (0, 40, 1)


def test_each_change_of_the_publishers_is_one_list() -> None:
    async def measure() -> tuple[list[int], list[str]]:
        stage = PacedStage()
        watcher = stage.join("watcher", publishers_only=True)
        changes: list[Callable[[], None]] = [
            lambda: stage.enter("a"),
            lambda: start_publishing(stage, "a"),
            lambda: start_publishing(stage, "watcher"),
            lambda: stage.apply(ended("a", "publish-a")),
        ]
        lists: list[int] = []
        for change in changes:
            await asyncio.sleep(10)
            lists.append(watcher.lists)
            change()
        await asyncio.sleep(10)
        return [*lists, watcher.lists], published(watcher)

    assert run(measure()) == ([1, 1, 2, 3, 4], ["watcher"])


def test_an_empty_stage_is_shown_as_an_empty_list() -> None:
    async def measure() -> tuple[int, list[str]]:
        stage = PacedStage()
        watcher = stage.join("watcher", publishers_only=True)
        await asyncio.sleep(10)
        return watcher.lists, published(watcher)

    assert run(measure()) == (1, [])


def test_all_watchers_of_publishers_get_the_same_snapshot() -> None:
    async def measure() -> int:
        stage = PacedStage()
        watchers = [stage.join(name, publishers_only=True) for name in "abc"]
        start_publishing(stage, "a")
        await asyncio.sleep(10)
        return len({id(watcher.newest) for watcher in watchers})

    assert run(measure()) == 1


def test_a_list_of_publishers_takes_changes_as_well() -> None:
    async def measure() -> tuple[int, int, list[str]]:
        stage = PacedStage()
        watcher = stage.join("watcher", takes_changes=True, publishers_only=True)
        await asyncio.sleep(10)
        stage.enter("viewer")
        await asyncio.sleep(10)
        start_publishing(stage, "watcher")
        await asyncio.sleep(10)
        return watcher.lists, watcher.changes, published(watcher)

    lists, changes, shown = run(measure())
    assert lists + changes == 2
    assert shown == ["watcher"]

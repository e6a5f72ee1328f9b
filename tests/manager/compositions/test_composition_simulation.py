"""Compositions under random orders of requests, reports, time and crashes, from a seed; the check of the book judges.

Each seed runs several lives of one server on one book. In each, requests and reports of the engine come in any order,
also late, twice and for compositions that have ended. After each life the server is interrupted, or shut down.
"""

import random
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from stagebook.audit.book_check import check_book
from stagebook.audit.book_rules import Violation
from stagebook.book.composition_reader import CompositionFilter
from stagebook.media.composition.composition_port import OutputFault
from stagebook.stage.composition.composition_events import CompositionEventName
from stagebook.stage.errors import StagebookError
from tests.manager.compositions.composed_stage import CHANNELS, ComposedStage
from tests.manager.compositions.scripted_composer import ScriptedComposer
from tests.manager.manager_harness import SettableClock, running_manager

LIVES, STEPS = 3, 30
STEPS_MS = (1, 500, 5_000, 30_000, 61_000, 130_000)


class Life:
    """One life of a server, in which random things happen to its compositions."""

    def __init__(self, on: ComposedStage, chance: random.Random) -> None:
        self.on = on
        self.chance = chance
        self.connections: list[str] = []
        self.count = 0

    async def step(self) -> None:
        """Let one thing happen."""
        happen = self.chance.choice(
            (
                self.start,
                self.start,
                self.report,
                self.report,
                self.report,
                self.stop,
                self.publish,
                self.leave,
                self.wait,
            )
        )
        # Refused requests are as good as others: nothing may follow from them.
        with suppress(StagebookError):
            await happen()
        if self.chance.random() < 0.5:
            await self.on.harness.settled()

    async def start(self) -> None:
        kinds = (self.on.bucket_destination, self.on.channel_destination)
        destinations = self.chance.sample(kinds, self.chance.randint(1, 2))
        token = {"idempotencyToken": f"token-{self.chance.randint(1, 3)}"} if self.chance.random() < 0.3 else {}
        await self.on.compose(*destinations, **token)

    async def report(self) -> None:
        composer: ScriptedComposer = self.on.harness.composer
        if not composer.requests:
            return
        composition_id = self.chance.choice(list(composer.requests))
        destination_id = self.chance.choice(composer.outputs(composition_id))
        match self.chance.randint(0, 6):
            case 0 | 1 | 2:
                composer.start_outputs(composition_id)
            case 3:
                composer.reconnect(composition_id, destination_id)
            case 4:
                composer.fail(composition_id, destination_id, self.chance.choice(list(OutputFault)))
            case 5:
                composer.complete(composition_id)
            case _:
                composer.lose(composition_id)

    async def stop(self) -> None:
        known = list(self.on.harness.composer.requests)
        if known:
            await self.on.harness.manager.compositions.stop(arn=self.on.arn(self.chance.choice(known)))

    async def publish(self) -> None:
        self.count += 1
        claims = self.on.harness.claims(self.on.stage, f"p{self.count}")
        self.connections.append(await self.on.harness.publish(claims))

    async def leave(self) -> None:
        if self.connections:
            self.on.harness.engine.lose(self.connections.pop())

    async def wait(self) -> None:
        self.on.harness.clock.ms += self.chance.choice(STEPS_MS)
        self.on.harness.manager.tick()


async def live(path: Path, chance: random.Random, clock: SettableClock, *, seed: int) -> None:
    """Run one life of the server."""
    async with running_manager(path, clock=clock, seed=seed, channels=CHANNELS) as harness:
        assert harness.book.compositions.list_open() == []
        harness.composer.completes = chance.random() < 0.7
        on = await ComposedStage.create(harness)
        run = Life(on, chance)
        for _ in range(STEPS):
            await run.step()
        if chance.random() < 0.3:
            await harness.manager.stages.delete(stage_arn=on.stage.arn)
        await harness.settled()
        for shown in harness.composer.shown.values():
            assert all(before != after for before, after in pairwise(shown))
        if chance.random() < 0.5:
            harness.composer.completes = True
            await harness.manager.shutdown()
    clock.ms += 1_000


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_of_events_breaks_a_rule(tmp_path: Path, seed: int) -> None:
    chance, clock = random.Random(seed), SettableClock()
    path = tmp_path / "book"
    for number in range(LIVES):
        await live(path, chance, clock, seed=100 * seed + number)
    async with running_manager(path, clock=clock, seed=99) as harness:
        reader = harness.book.compositions
        compositions = reader.page(CompositionFilter(), after=None, limit=1_000).items
        assert compositions
        ends = {CompositionEventName.COMPOSITION_ENDED, CompositionEventName.COMPOSITION_FAILED}
        for each in compositions:
            assert each.state.is_final
            assert reader.page_events(each.arn, after=None, limit=1_000).items[-1].event.name in ends
    found: list[Violation] = []
    counts = check_book(path, found.append)
    assert found == []
    assert counts.compositions == len(compositions)

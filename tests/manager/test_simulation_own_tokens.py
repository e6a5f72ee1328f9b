"""The same seeded life with callers who sign their own tokens in it: exchanges, connection tokens, revocations.

The rules are those of `test_simulation`; what an exchange takes away stays away until the next one, or until LEFT.
"""

import contextlib
import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.book.store import RecordedEvent
from stagebook.stage.claims import Claims
from stagebook.stage.errors import StagebookError
from stagebook.stage.events import Cause, EventName
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import Capability, ParticipantState, Stage
from tests.manager.house import ACCOUNT, CLIENT, ManagerHarness, SettableClock, Watcher, running_house
from tests.manager.own_tokens import OwnTokens, own_tokens
from tests.manager.test_simulation import (
    NAMES,
    RUNS,
    STEPS_PER_RUN,
    Story,
    every_replication_has_its_replica,
    everything,
    memory_agrees_with_the_book,
    one_left_for_every_joined,
    order_is_causal,
    starts_and_stops_pair_up,
    state_agrees_with_events,
)

ACTIONS = ["come", "come", "sign_publish", "sign_subscribe", "exchange", "exchange", "exchange", "hang_up", "revoke"]
NEEDED = {EventName.PUBLISH_STARTED: Capability.PUBLISH, EventName.SUBSCRIBE_STARTED: Capability.SUBSCRIBE}


class SigningStory(Story):
    """Every second step is one of a participant whose token is signed by its own caller."""

    def __init__(self, house: ManagerHarness, chance: random.Random, stages: list[Stage], own: OwnTokens) -> None:
        super().__init__(house, chance, stages)
        self.own = own
        self.held: dict[tuple[str, str], Claims] = {}
        self.sockets: list[tuple[Stage, str, str]] = []
        self.revoked = 0

    async def step(self) -> None:
        if self.chance.random() < 0.5:
            await super().step()
            return
        stage, name = self.chance.choice(self.stages), self.chance.choice(NAMES)
        with contextlib.suppress(StagebookError):
            await getattr(self, self.chance.choice(ACTIONS))(stage, name)

    def claims(self, stage: Stage, name: str) -> Claims:
        rights = self.chance.choice([(), tuple(Capability), tuple(Capability), (Capability.PUBLISH,)])
        user_id = f"user-{self.chance.randrange(5)}"
        return self.own.claims(name, *rights, user_id=user_id, stage_arn=stage.arn)

    def shown(self, stage: Stage, name: str) -> Claims:
        """The token that the participant has, or sometimes another; over a connection token or not."""
        held = self.held.get((stage.arn, name))
        claims = held if held is not None and self.chance.random() < 0.9 else self.claims(stage, name)
        return replace(claims, connection_token_id=self.chance.choice([None, None, f"token-{self.revoked}"]))

    async def come(self, stage: Stage, name: str) -> None:
        claims = self.claims(stage, name)
        connection_id = await self.house.manager.open_events(claims, watcher=Watcher(), client=CLIENT)
        self.held[stage.arn, name] = claims
        self.sockets.append((stage, name, connection_id))

    async def sign_publish(self, stage: Stage, name: str) -> None:
        connection_id = await self.house.publish(self.shown(stage, name), connect=self.chance.random() < 0.8)
        self.opened.append((stage, name, connection_id))

    async def sign_subscribe(self, stage: Stage, name: str) -> None:
        connection_id = await self.house.subscribe(self.shown(stage, name), self.chance.choice(NAMES))
        self.opened.append((stage, name, connection_id))

    async def exchange(self, _stage: Stage, _name: str) -> None:
        if self.sockets:
            stage, name, connection_id = self.chance.choice(self.sockets)
            claims = self.claims(stage, name)
            await self.house.manager.exchange_token(connection_id=connection_id, token=self.own.token(claims))
            self.held[stage.arn, name] = claims

    async def hang_up(self, _stage: Stage, _name: str) -> None:
        if self.sockets:
            _, _, connection_id = self.sockets.pop(self.chance.randrange(len(self.sockets)))
            await self.house.manager.close_events(connection_id=connection_id, cause=Cause.CLIENT)

    async def revoke(self, _stage: Stage, _name: str) -> None:
        token_id = f"token-{self.revoked}"
        self.revoked += 1
        await self.house.manager.connection_tokens.revoke(account_id=ACCOUNT, token_id=token_id)
        routes = self.house.manager._ledger.live.routes.values()
        assert not [route for route in routes if route.connection_token_id == token_id]


@pytest.mark.parametrize("seed", range(8))
async def test_the_rules_of_the_book_hold_with_exchanges(tmp_path: Path, seed: int) -> None:
    chance, clock = random.Random(seed), SettableClock()
    stages: list[Stage] = []
    exchanges = 0
    for run in range(RUNS):
        async with running_house(tmp_path / "book", clock=clock, limits=STRICT, seed=seed * 10 + run) as house:
            stages = stages or [await house.stage() for _ in range(2)]
            story = SigningStory(house, chance, stages, await own_tokens(house, stages[0]))
            for _ in range(STEPS_PER_RUN):
                await story.step()
            await house.settled()
            state_agrees_with_events(house.book, stages)
            memory_agrees_with_the_book(house, stages)
    async with running_house(tmp_path / "book", clock=clock, seed=99) as house:
        every_replication_has_its_replica(house.book, stages)
        for stage in stages:
            for _, record, events in everything(house.book, stage):
                one_left_for_every_joined(events)
                starts_and_stops_pair_up(events)
                order_is_causal(events)
                rights_hold(events)
                assert record.state is ParticipantState.DISCONNECTED
                exchanges += sum(entry.event.exchange is not None for entry in events)
    assert exchanges > 10


def rights_hold(events: list[RecordedEvent]) -> None:
    """Nothing starts that the newest token does not allow, and what it takes away ends in the same action."""
    allowed: frozenset[str] | None = None
    inside = False
    flowing: dict[Capability, int] = dict.fromkeys(Capability, 0)
    ends_at_ms: int | None = None
    for entry in events:
        name = entry.event.name
        if ends_at_ms is not None and entry.event.cause is not Cause.TOKEN_EXCHANGED:
            assert allowed is not None
            assert all(not flowing[capability] for capability in Capability if capability not in allowed)
            ends_at_ms = None
        if entry.event.exchange is not None:
            assert inside
            allowed, ends_at_ms = frozenset(entry.event.exchange.new.capabilities), entry.time_ms
        elif name in NEEDED:
            assert allowed is None or NEEDED[name] in allowed
            flowing[NEEDED[name]] += 1
        elif name in (EventName.PUBLISH_STOPPED, EventName.SUBSCRIBE_STOPPED):
            flowing[Capability.PUBLISH if name is EventName.PUBLISH_STOPPED else Capability.SUBSCRIBE] -= 1
            assert entry.event.cause is not Cause.TOKEN_EXCHANGED or entry.time_ms == ends_at_ms
        elif name in (EventName.JOINED, EventName.LEFT):
            allowed, inside = None, name is EventName.JOINED

"""The same seeded life with encoders in it: they come, collide, fail, come in pairs, and lose their configurations.

The rules are those of `test_simulation`; and a virtual participant publishes exactly while one of its streams does, no
encoder is forgotten in the engine, and no source is kept that nobody needs.
"""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import RecordedEvent
from stagebook.media.port import CloseCause, IngestFault, RefusalReason
from stagebook.stage.errors import StagebookError
from stagebook.stage.events import EventName
from stagebook.stage.limits import STRICT
from stagebook.stage.resources import IngestConfiguration, ParticipantProtocol, ParticipantState, Stage
from tests.manager.house import ACCOUNT, ManagerHarness, SettableClock, running_house
from tests.manager.test_simulation import (
    RUNS,
    STEPS_PER_RUN,
    Story,
    every_replication_has_its_replica,
    everything,
    is_virtual,
    memory_agrees_with_the_book,
    one_left_for_every_joined,
    order_is_causal,
    replications_pair_up,
    starts_and_stops_pair_up,
    state_agrees_with_events,
)

ACTIONS = [
    *["encode"] * 6,
    *["collide", "stranger", "flow", "hang_up", "hang_up", "fail", "lose_engine", "spike_encoder", "watch", "watch"],
    *["replicate_encoder", "move", "move", "delete", "kick_encoder", "refuse"],
]
LIMITS = replace(STRICT, publishers_per_stage=3, ingest_configurations=5)


class EncoderStory(Story):
    """Two of three steps are an encoder's, or about encoders."""

    def __init__(self, house: ManagerHarness, chance: random.Random, stages: list[Stage]) -> None:
        super().__init__(house, chance, stages)
        self.over: set[str] = set()

    async def step(self) -> None:
        if self.chance.random() < 0.33:
            await super().step()
            return
        self.house.clock.ms += self.chance.choice([0, 0, 1, 40, 700, 2_500])
        with contextlib.suppress(StagebookError):
            await getattr(self, self.chance.choice(ACTIONS))(self.chance.choice(self.stages), "")

    async def any_configuration(self) -> IngestConfiguration:
        page = self.house.book.list_resources(ACCOUNT, "ingest-configuration", after=None, limit=100)
        found = [each for each in page.items if isinstance(each, IngestConfiguration)]
        if len(found) < LIMITS.ingest_configurations:
            redundant, insecure = len(found) % 2 == 0, self.chance.random() < 0.8
            stage = self.chance.choice(self.stages)
            return await self.house.configuration(stage, redundant=redundant, insecure=insecure)
        return self.chance.choice(found)

    async def any_key(self) -> str:
        configuration = await self.any_configuration()
        keys = [credential.stream_key for credential in configuration.redundant_credentials]
        if not keys or self.chance.random() < 0.1:
            keys.append(configuration.stream_key)
        return self.chance.choice(keys)

    async def any_participant(self) -> tuple[str, str]:
        """Return a stage's ARN and who comes there by an encoder, or would."""
        configuration = await self.any_configuration()
        streams = [credential.participant_id for credential in configuration.redundant_credentials]
        return configuration.stage_arn, self.chance.choice([configuration.participant_id, *streams])

    def running(self) -> list[str]:
        routes = self.house.manager._ledger.live.routes
        return [connection_id for connection_id in self.house.engine.admitted.values() if connection_id in routes]

    async def encode(self, _stage: Stage, _name: str) -> None:
        ask_id = self.house.engine.ask(await self.any_key(), is_secure=self.chance.random() < 0.7)
        if self.chance.random() < 0.7:
            await self.house.settled()
            if ask_id in self.house.engine.admitted and self.chance.random() < 0.9:
                self.house.engine.connect(self.house.engine.admitted[ask_id])

    async def collide(self, _stage: Stage, _name: str) -> None:
        key = await self.any_key()
        for _ in range(3):
            self.house.engine.ask(key)

    async def stranger(self, _stage: Stage, _name: str) -> None:
        key = await self.any_key()
        self.house.engine.ask(self.chance.choice([key[:-1] + "_", key[::-1], key[:-4] + "0000"]))

    async def flow(self, _stage: Stage, _name: str) -> None:
        for connection_id in self.running():
            route = self.house.manager._ledger.live.routes[connection_id]
            if not route.session.participants[route.participant_id].machine.is_publishing:
                self.house.engine.connect(connection_id)

    async def hang_up(self, _stage: Stage, _name: str) -> None:
        self.end(lambda each: self.house.engine.lose(each, self.chance.choice(list(CloseCause))))

    async def fail(self, _stage: Stage, _name: str) -> None:
        self.end(lambda each: self.house.engine.fail(each, self.chance.choice(list(IngestFault))))

    def end(self, tell: Callable[[str], None]) -> None:
        if running := self.running():
            connection_id = self.chance.choice(running)
            self.over.add(connection_id)
            tell(connection_id)

    async def lose_engine(self, _stage: Stage, _name: str) -> None:
        if self.chance.random() < 0.1:
            for connection_id in self.running():
                self.over.add(connection_id)
                self.house.engine.lose(connection_id, CloseCause.ENGINE_LOST)

    async def spike_encoder(self, _stage: Stage, _name: str) -> None:
        if running := self.running():
            self.house.engine.measure(self.chance.choice(running), has_b_frames=True)

    async def watch(self, stage: Stage, _name: str) -> None:
        stage_arn, publisher_id = await self.any_participant()
        stage = next((each for each in self.stages if each.arn == stage_arn), stage)
        connection_id = await self.house.subscribe(self.house.claims(stage, "P0"), publisher_id)
        self.opened.append((stage, "P0", connection_id))

    async def replicate_encoder(self, to: Stage, _name: str) -> None:
        sessions = self.house.manager._ledger.live.sessions.values()
        publishing = [
            (session.stage_arn, participant_id)
            for session in sessions
            for participant_id, one in session.participants.items()
            if one.claims.ingest is not None and one.machine.is_publishing
        ]
        stage_arn, participant_id = self.chance.choice(publishing or [await self.any_participant()])
        await self.house.manager.replication.start(
            source_stage_arn=stage_arn,
            destination_stage_arn=to.arn,
            participant_id=participant_id,
            window_seconds=self.chance.choice([0, 2, 10]),
            attributes={},
        )

    async def move(self, to: Stage, _name: str) -> None:
        configuration = await self.any_configuration()
        await self.house.manager.ingest_configurations.update(
            arn=configuration.arn, stage_arn=self.chance.choice(["", to.arn, to.arn]), redundant_ingest=None
        )

    async def delete(self, _stage: Stage, _name: str) -> None:
        if self.chance.random() < 0.4:
            configuration = await self.any_configuration()
            force = self.chance.random() < 0.7
            await self.house.manager.ingest_configurations.delete(arn=configuration.arn, force=force)

    async def kick_encoder(self, _stage: Stage, _name: str) -> None:
        if self.chance.random() < 0.4:
            stage_arn, participant_id = await self.any_participant()
            await self.house.manager.disconnect_participant(
                stage_arn=stage_arn, participant_id=participant_id, reason=""
            )

    async def refuse(self, _stage: Stage, _name: str) -> None:
        reasons = [RefusalReason.ENGINE_LOST, RefusalReason.BUSY, RefusalReason.UNKNOWN_CONNECTION]
        self.house.engine.refuse = self.chance.choice(reasons)


@pytest.mark.parametrize("seed", range(12))
async def test_the_rules_of_the_book_hold_with_encoders(tmp_path: Path, seed: int) -> None:
    chance, clock = random.Random(seed), SettableClock()
    stages: list[Stage] = []
    for run in range(RUNS):
        async with running_house(tmp_path / "book", clock=clock, limits=LIMITS, seed=seed * 10 + run) as house:
            stages = stages or [await house.stage() for _ in range(3)]
            story = EncoderStory(house, chance, stages)
            for _ in range(STEPS_PER_RUN):
                await story.step()
            await house.settled()
            state_agrees_with_events(house.book, stages)
            memory_agrees_with_the_book(house, stages)
            sources_are_used(house)
            no_encoder_is_forgotten(story)
    async with running_house(tmp_path / "book", clock=clock, seed=99) as house:
        assert house.book.list_open_sessions() == []
        assert house.book.list_active_replicas() == []
        every_replication_has_its_replica(house.book, stages)
        for stage in stages:
            for _, record, events in everything(house.book, stage):
                one_left_for_every_joined(events)
                starts_and_stops_pair_up(events)
                replications_pair_up(events)
                order_is_causal(events)
                assert record.state is ParticipantState.DISCONNECTED
        assert sum(virtual_participants_follow_their_streams(house.book, stage) for stage in stages) > 0


def sources_are_used(house: ManagerHarness) -> None:
    """A source has a publication or a stream that will make one, and who is virtual has a stream that flows."""
    live = house.manager._ledger.live
    for (stage_arn, publisher_id), slot in live.slots.items():
        publisher = live.sessions[stage_arn].participants.get(publisher_id)
        assert slot.offers == 0
        assert slot.streams or (publisher is not None and publisher.machine.publication_id is not None)
        assert slot.source_id not in house.engine.ended_sources
    for session in live.sessions.values():
        flowing = {one.virtual_id for one in session.participants.values() if one.machine.is_publishing} - {None}
        virtual = {each for each, one in session.participants.items() if is_virtual(one) and one.machine.connections}
        assert virtual == flowing


def no_encoder_is_forgotten(story: EncoderStory) -> None:
    """Every encoder that was let in runs, ended by itself, or was ended in the engine."""
    engine, running = story.house.engine, set(story.running())
    for connection_id in engine.admitted.values():
        ended = connection_id in engine.closed or engine.connections[connection_id] in engine.ended_sources
        assert (connection_id in running) or ended or connection_id in story.over
        assert connection_id not in running or connection_id not in engine.closed


def virtual_participants_follow_their_streams(book: SqliteBook, stage: Stage) -> int:
    """Once all that happens at a time has happened, one who is virtual publishes if one of its streams does.

    Returns how many published.
    """
    found: dict[tuple[str, str], dict[str, list[RecordedEvent]]] = {}
    for session_id, record, events in everything(book, stage):
        if record.ingest_configuration_arn is None:
            assert record.protocol in (ParticipantProtocol.WHIP, ParticipantProtocol.UNKNOWN)
        if record.redundant_ingest:
            key = session_id, record.ingest_configuration_arn or ""
            own = [entry for entry in events if not entry.event.replica]  # a replica may have been here before
            found.setdefault(key, {})[record.participant_id] = own
    return sum(follow(group) for group in found.values())


def follow(group: dict[str, list[RecordedEvent]]) -> bool:
    """Walk through the events of a configuration's participants in order; return whether a stream of it ever flowed."""
    entries = sorted(
        ((entry, participant_id) for participant_id, events in group.items() for entry in events),
        key=lambda pair: pair[0].sequence,
    )
    started = [who for entry, who in entries if entry.event.name is EventName.PUBLISH_STARTED]
    if not started:
        return False
    # The first stream that flows brings the virtual participant in the same action, right after itself.
    virtual_id = started[1]
    flowing: set[str] = set()
    for position, (entry, who) in enumerate(entries):
        if entry.event.name is EventName.PUBLISH_STARTED:
            flowing.add(who)
        elif entry.event.name is EventName.PUBLISH_STOPPED:
            flowing.discard(who)
        is_last = position + 1 == len(entries) or entries[position + 1][0].time_ms != entry.time_ms
        if is_last:
            assert (virtual_id in flowing) == bool(flowing - {virtual_id})
    return True

"""A seeded life of many participants with crashes in it, held against the rules of the book.

Every seed is one story: participants join, publish, watch, are replicated to another stage, are lost, disconnected, cut
off, and the server is stopped without goodbye now and then. Afterwards the book alone must satisfy its rules, whatever
the story was.
"""

import contextlib
import random
from collections import Counter
from pathlib import Path

import pytest

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import ParticipantFilter, RecordedEvent
from stagebook.manager.session.running_sessions import LiveParticipant
from stagebook.media.port import CloseCause
from stagebook.stage.errors import StagebookError
from stagebook.stage.events import Cause, EventName, ReplicationDestination
from stagebook.stage.limits import STRICT
from stagebook.stage.moves import PUBLISHING_KINDS
from stagebook.stage.resources import (
    Capability,
    ParticipantRecord,
    ParticipantState,
    ReplicationState,
    ReplicationType,
    Stage,
)
from tests.manager.house import CLIENT, ManagerHarness, SettableClock, Watcher, running_house

NAMES = [f"P{number}" for number in range(8)]
REPLICA_EVENTS = {EventName.JOINED, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, EventName.LEFT}
STEPS_PER_RUN = 160
RUNS = 3


class Story:
    """One run's random walk. It remembers what it was acknowledged, and nothing else."""

    def __init__(self, house: ManagerHarness, chance: random.Random, stages: list[Stage]) -> None:
        self.house, self.chance, self.stages = house, chance, stages
        self.opened: list[tuple[Stage, str, str]] = []

    async def step(self) -> None:
        stage, name = self.chance.choice(self.stages), self.chance.choice(NAMES)
        self.house.clock.ms += self.chance.choice([0, 0, 1, 40, 700, 2_500])
        action = self.chance.choice(
            [
                "publish",
                "publish",
                "subscribe",
                "subscribe",
                "events",
                "close",
                "close",
                "lose",
                "replicate",
                "replicate",
                "return_to_replica",
                "unreplicate",
                "kick",
                "spike",
                "tick",
            ]
        )
        with contextlib.suppress(StagebookError):
            await getattr(self, action)(stage, name)

    async def return_to_replica(self, _stage: Stage, _name: str) -> None:
        running = self.house.book.list_active_replicas()
        if running:
            replica = self.chance.choice(running)
            stage = next(stage for stage in self.stages if stage.arn == replica.source_stage_arn)
            await self.publish(stage, replica.participant_id)

    async def publish(self, stage: Stage, name: str) -> None:
        rights = self.chance.choice([(), (), (), (Capability.SUBSCRIBE,)])
        claims = self.house.claims(stage, name, *rights)
        connection_id = await self.house.publish(claims, connect=self.chance.random() < 0.8)
        self.opened.append((stage, name, connection_id))

    async def subscribe(self, stage: Stage, name: str) -> None:
        publisher = self.chance.choice(NAMES)
        running = self.house.book.list_active_replicas()
        if running and self.chance.random() < 0.4:
            replica = self.chance.choice(running)
            stage = next(each for each in self.stages if each.arn == replica.destination_stage_arn)
            publisher = replica.participant_id
        connected = self.chance.random() < 0.8
        connection_id = await self.house.subscribe(self.house.claims(stage, name), publisher, connect=connected)
        self.opened.append((stage, name, connection_id))

    async def events(self, stage: Stage, name: str) -> None:
        claims = self.house.claims(stage, name)
        await self.house.manager.open_events(claims, watcher=Watcher(), client=CLIENT)

    async def close(self, _stage: Stage, _name: str) -> None:
        if self.opened:
            stage, name, connection_id = self.opened.pop(self.chance.randrange(len(self.opened)))
            await self.house.manager.close(self.house.claims(stage, name), connection_id=connection_id)

    async def lose(self, _stage: Stage, _name: str) -> None:
        if self.opened:
            _, _, connection_id = self.opened.pop(self.chance.randrange(len(self.opened)))
            self.house.engine.lose(connection_id, self.chance.choice(list(CloseCause)))

    async def replicate(self, to: Stage, _name: str) -> None:
        if self.opened:
            stage, name, _ = self.chance.choice(self.opened)
            await self.house.manager.replication.start(
                source_stage_arn=stage.arn,
                destination_stage_arn=to.arn,
                participant_id=name,
                window_seconds=self.chance.choice([0, 2, 10]),
                attributes={},
            )

    async def unreplicate(self, _stage: Stage, _name: str) -> None:
        running = self.house.book.list_active_replicas()
        if running:
            replica = self.chance.choice(running)
            await self.house.manager.replication.stop(
                source_stage_arn=replica.source_stage_arn,
                destination_stage_arn=replica.destination_stage_arn,
                participant_id=replica.participant_id,
            )

    async def kick(self, stage: Stage, name: str) -> None:
        if self.chance.random() < 0.2:
            await self.house.manager.disconnect_participant(stage_arn=stage.arn, participant_id=name, reason="")

    async def spike(self, _stage: Stage, _name: str) -> None:
        if self.opened:
            _, _, connection_id = self.chance.choice(self.opened)
            self.house.engine.measure(connection_id, width=4_000, height=4_000)

    async def tick(self, _stage: Stage, _name: str) -> None:
        self.house.manager.tick()


@pytest.mark.parametrize("seed", range(12))
async def test_the_rules_of_the_book_hold(tmp_path: Path, seed: int) -> None:
    chance, clock = random.Random(seed), SettableClock()
    stages: list[Stage] = []
    for run in range(RUNS):
        async with running_house(tmp_path / "book", clock=clock, limits=STRICT, seed=seed * 10 + run) as house:
            stages = stages or [await house.stage() for _ in range(3)]
            story = Story(house, chance, stages)
            for _ in range(STEPS_PER_RUN):
                await story.step()
            await house.settled()
            state_agrees_with_events(house.book, stages)
            memory_agrees_with_the_book(house, stages)
    async with running_house(tmp_path / "book", clock=clock, seed=99) as house:
        assert house.book.list_open_sessions() == []
        assert house.book.list_active_replicas() == []
        every_replication_has_its_replica(house.book, stages)
        for stage in stages:
            for session_id, record, events in everything(house.book, stage):
                one_left_for_every_joined(events)
                starts_and_stops_pair_up(events)
                replications_pair_up(events)
                replicas_are_marked(events)
                order_is_causal(events)
                session = house.book.get_session(stage.arn, session_id)
                assert session is not None
                assert session.end_ms is not None
                assert session.start_ms <= events[0].time_ms <= events[-1].time_ms <= session.end_ms
                assert record.state is ParticipantState.DISCONNECTED


def everything(book: SqliteBook, stage: Stage) -> list[tuple[str, ParticipantRecord, list[RecordedEvent]]]:
    sessions = book.list_sessions(stage.arn, after=None, limit=10_000).items
    return [
        (session.session_id, record, book.list_events(stage.arn, session.session_id, record.participant_id))
        for session in sessions
        for record in book.list_participants(
            stage.arn, session.session_id, where=ParticipantFilter(), after=None, limit=10_000
        ).items
    ]


def names(events: list[RecordedEvent]) -> list[EventName]:
    return [entry.event.name for entry in events]


def state_agrees_with_events(book: SqliteBook, stages: list[Stage]) -> None:
    """State and events change in one transaction: they cannot part, not even in the middle of a run."""
    for stage in stages:
        for _, record, events in everything(book, stage):
            presence = [name for name in names(events) if name in (EventName.JOINED, EventName.LEFT)]
            connected = bool(presence) and presence[-1] is EventName.JOINED
            assert (record.state is ParticipantState.CONNECTED) == connected
            assert record.published == (EventName.PUBLISH_STARTED in names(events))
            if record.replication_type is not ReplicationType.NONE:
                assert (record.replication_state is ReplicationState.ACTIVE) == is_replicated(record, events)
            joins = [entry.time_ms for entry in events if entry.event.name is EventName.JOINED]
            assert record.first_join_ms == (joins[0] if joins else None)


def is_replicated(record: ParticipantRecord, events: list[RecordedEvent]) -> bool:
    """Whether a replication of this source runs, or this replica is on its stage."""
    if record.replication_type is ReplicationType.REPLICA:
        return record.state is ParticipantState.CONNECTED
    return names(events).count(EventName.REPLICATION_STARTED) > names(events).count(EventName.REPLICATION_STOPPED)


def memory_agrees_with_the_book(house: ManagerHarness, stages: list[Stage]) -> None:
    """What is remembered of a running server is what the book says is open, and nothing more."""
    live = house.manager._ledger.live
    rows = {
        (row.source_stage_arn, row.participant_id, row.destination_stage_arn)
        for row in house.book.list_active_replicas()
    }
    assert rows == {
        (each.source.stage_arn, each.participant_id, each.destination.stage_arn) for each in live.replications.values()
    }
    publishers = connections = 0
    for stage in stages:
        session = live.sessions.get(stage.arn)
        for participant_id, participant in session.participants.items() if session else ():
            assert participant.machine.connections or participant.machine.replications, participant_id
            if not is_virtual(participant):  # its streams are counted in its place, and it has no connection to route
                publishers += any(c.kind in PUBLISHING_KINDS for c in participant.machine.connections.values())
                connections += len(participant.machine.connections)
    assert publishers == sum(live.publishers_by_account.values())
    assert publishers == sum(session.publishers for session in live.sessions.values())
    assert connections == len(live.routes)


def is_virtual(participant: LiveParticipant) -> bool:
    """Whether this is who viewers see in place of redundant streams."""
    origin = participant.claims.ingest
    return origin is not None and origin.is_redundant and origin.feeds is None


def one_left_for_every_joined(events: list[RecordedEvent]) -> None:
    presence = [name for name in names(events) if name in (EventName.JOINED, EventName.LEFT)]
    assert presence == [EventName.JOINED, EventName.LEFT] * (len(presence) // 2)


def starts_and_stops_pair_up(events: list[RecordedEvent]) -> None:
    open_media: list[tuple[str, str | None]] = []
    inside = False
    for entry in events:
        name, remote = entry.event.name, entry.event.remote_participant_id
        kind, _, what = name.value.partition("_")
        if kind == "REPLICATION":
            continue
        if name is EventName.JOINED:
            inside = True
        elif name is EventName.LEFT:
            assert not open_media
            inside = False
        elif what == "STARTED":
            assert inside
            open_media.append((kind, remote))
        elif what == "STOPPED":
            open_media.remove((kind, remote))
    assert not open_media


def replications_pair_up(events: list[RecordedEvent]) -> None:
    """One REPLICATION_STOPPED for each STARTED; one starts while its source publishes, and may outlast that."""
    running: set[ReplicationDestination] = set()
    publishing = False
    for entry in events:
        match entry.event.name:
            case EventName.PUBLISH_STARTED | EventName.PUBLISH_STOPPED:
                publishing = entry.event.name is EventName.PUBLISH_STARTED
            case EventName.REPLICATION_STARTED:
                assert publishing
                assert entry.event.destination is not None
                assert entry.event.destination not in running
                running.add(entry.event.destination)
            case EventName.REPLICATION_STOPPED:
                assert entry.event.destination is not None
                running.remove(entry.event.destination)
    assert not running


def replicas_are_marked(events: list[RecordedEvent]) -> None:
    """From a replica's JOINED to its LEFT all is marked, and only its own life is there; nothing else is marked."""
    replica = False
    for entry in events:
        name = entry.event.name
        if name is EventName.JOINED:
            replica = entry.event.replica
        if not name.value.startswith("SUBSCRIBE"):
            assert entry.event.replica == replica
        if replica:
            assert name in REPLICA_EVENTS
            replica = name is not EventName.LEFT


def every_replication_has_its_replica(book: SqliteBook, stages: list[Stage]) -> None:
    """Both ends are written together: as many replications lead to a session as replicas joined it."""
    led: Counter[tuple[str, str, str]] = Counter()
    joined: Counter[tuple[str, str, str]] = Counter()
    for stage in stages:
        for session_id, record, events in everything(book, stage):
            for entry in events:
                to = entry.event.destination
                if to is not None and entry.event.name is EventName.REPLICATION_STARTED:
                    led[to.stage_arn, to.session_id, record.participant_id] += 1
                if entry.event.replica and entry.event.name is EventName.JOINED:
                    joined[stage.arn, session_id, record.participant_id] += 1
    assert led == joined


def order_is_causal(events: list[RecordedEvent]) -> None:
    sequences = [entry.sequence for entry in events]
    assert sequences == sorted(set(sequences))
    assert all(entry.event.cause is not None for entry in events)
    assert all(entry.event.error_code is not None for entry in events if entry.event.name.value.endswith("ERROR"))
    assert all(entry.event.cause in set(Cause) for entry in events)

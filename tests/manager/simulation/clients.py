"""What clients and API callers do in a simulation, and what they check when they are answered."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from stagebook.book.store import BookReader
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot
from stagebook.manager.resources.ingest_configuration_service import IngestSpec
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.claims import Claims
from stagebook.stage.errors import AttemptRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.resources import Capability, IngestConfiguration, IngestProtocol, Stage
from tests.clients.own_key import OwnKey
from tests.manager.manager_harness import ACCOUNT, CLIENT, PlainTokens, SettableClock
from tests.manager.presence.shown_list import ShownList
from tests.manager.simulation.oracle import Observer
from tests.manager.simulation.simulated_engine import SimulatedEngine

PARTICIPANTS = [f"P{number}" for number in range(6)]
BOTH = (Capability.PUBLISH, Capability.SUBSCRIBE)
PUBLIC_KEY_PEM = OwnKey().public_pem
HOUR_MS = 3_600_000


@dataclass
class Watcher:
    """An events websocket that checks each list and farewell with the observer."""

    observer: Observer
    stage_arn: str
    participant_id: str
    takes_changes: bool
    publishers_only: bool
    is_open: bool = True
    known: ShownList = field(default_factory=ShownList)

    def show(self, snapshot: StageSnapshot) -> None:
        """As StageWatcher.show."""
        with self.observer.noting():
            self.known.show(snapshot)
            self._check_list()

    def show_change(self, change: StageChange) -> None:
        """As StageWatcher.show_change."""
        with self.observer.noting():
            assert self.takes_changes
            self.known.show_change(change)
            self._check_list()

    def _check_list(self) -> None:
        self.observer.shown(self.stage_arn, self.known.listed)
        assert not self.publishers_only or all(each.is_publishing for each in self.known.listed)

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """As StageWatcher.farewell."""
        del detail
        self.is_open = False
        # A participant whose token was reused is on the stage with the newer connection.
        if reason is not FarewellReason.TOKEN_REUSED:
            with self.observer.noting():
                self.observer.left(self.stage_arn, self.participant_id)


@dataclass
class World:
    """What lasts over the runs of the server: the callers' resources, and the clock."""

    clock: SettableClock
    stages: list[Stage] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    barred: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often participants had joined a stage when they were disconnected from it for good."""
    key_arn: str = ""
    storage_arn: str = ""
    windows: dict[str, int] = field(default_factory=dict)
    """The reconnect windows of recordings in seconds, by stage ARN."""
    configurations: list[IngestConfiguration] = field(default_factory=list)

    @property
    def stage_arns(self) -> list[str]:
        """The ARNs of all stages that ever were."""
        return [*(stage.arn for stage in self.stages), *self.deleted]


class Clients:
    """All clients and API callers of one run of the server."""

    def __init__(
        self,
        *,
        world: World,
        book: BookReader,
        manager: StageManager,
        engine: SimulatedEngine,
        observer: Observer,
        chance: random.Random,
    ) -> None:
        self.world = world
        self.book = book
        self.manager = manager
        self.engine = engine
        self.observer = observer
        self.chance = chance
        self.tokens = PlainTokens()
        self.opened: list[tuple[str, str, str]] = []
        self.published: list[tuple[str, str, str]] = []
        self.sockets: list[tuple[str, str, str]] = []
        self.owners: dict[str, tuple[str, str]] = {}
        self.watchers: dict[str, Watcher] = {}

    async def prepare(self) -> None:
        """Create the resources of the world, once."""
        world = self.world
        if not world.storage_arn:
            storage = await self.manager.configurations.create_storage(
                account_id=ACCOUNT, tags={}, bucket_name="bucket"
            )
            world.storage_arn = storage.arn
        while len(world.stages) < 3:
            await self.create_stage()
        if not world.key_arn:
            key = await self.manager.public_keys.import_key(
                account_id=ACCOUNT, name="", tags={}, material=PUBLIC_KEY_PEM
            )
            world.key_arn = key.arn
        while len(world.configurations) < 3:
            await self.create_configuration()

    async def create_stage(self) -> None:
        """CreateStage."""
        window_seconds = self.chance.choice([0, 0, 5])
        recording = {
            "storageConfigurationArn": self.world.storage_arn if self.chance.random() < 0.7 else "",
            "recordingReconnectWindowSeconds": window_seconds,
        }
        stage, _ = await self.manager.stages.create(
            account_id=ACCOUNT, name="", tags={}, recording=recording, tokens=[]
        )
        self.world.windows[stage.arn] = window_seconds
        self.world.stages.append(stage)

    async def create_configuration(self) -> None:
        """CreateIngestConfiguration, attached to a stage."""
        spec = IngestSpec(
            ingest_protocol=IngestProtocol.RTMPS,
            stage_arn=self.stage().arn,
            redundant_ingest=len(self.world.configurations) % 2 == 0,
        )
        made = await self.manager.ingest_configurations.create(account_id=ACCOUNT, spec=spec)
        self.world.configurations.append(made)

    def stage(self) -> Stage:
        """Choose a stage."""
        return self.chance.choice(self.world.stages)

    def claims(self, stage_arn: str, participant_id: str) -> Claims:
        """Return the claims of a token of a participant. P4 and P5 have tokens of the application's own key."""
        rights = self.chance.choice([BOTH, BOTH, BOTH, BOTH, (Capability.SUBSCRIBE,), (Capability.PUBLISH,)])
        claims = Claims(
            participant_id=participant_id,
            stage_arn=stage_arn,
            capabilities=frozenset(rights),
            user_id=participant_id,
            expires_at_seconds=self.world.clock.ms // 1000 + 1_000_000,
        )
        if participant_id in PARTICIPANTS[4:]:
            claims = replace(claims, capabilities=frozenset(BOTH), key_arn=self.world.key_arn, expires_at_seconds=2**32)
            if self.chance.random() < 0.3:
                claims = replace(claims, connection_token_id="connection")
        return claims

    async def publish(self) -> None:
        """Publish, or replace a publication."""
        stage_arn, participant_id = self.stage().arn, self.chance.choice(PARTICIPANTS)
        claims = self.claims(stage_arn, participant_id)
        await self._attempt(claims, lambda: self._open_publish(claims))

    async def _open_publish(self, claims: Claims) -> None:
        opened = await self.manager.participants.publish(claims, offer="offer", client=CLIENT)
        self.opened.append((claims.stage_arn, claims.participant_id, opened.connection_id))
        self.published = [*self.published, self.opened[-1]][-4:]
        self.owners[opened.connection_id] = (claims.stage_arn, claims.participant_id)

    async def subscribe(self) -> None:
        """Watch a participant that may not be publishing."""
        stage_arn, publisher_id = self._publisher()
        participant_id = self.chance.choice(PARTICIPANTS)
        claims = self.claims(stage_arn, participant_id)
        await self._attempt(claims, lambda: self._open_subscribe(claims, publisher_id))

    def _publisher(self) -> tuple[str, str]:
        """Choose a stage and a participant: a publisher, a replica, an encoder, or one that does not publish."""
        published = [(stage_arn, name) for stage_arn, name, _ in self.published]
        encoders = [(each.stage_arn, each.participant_id) for each in self.world.configurations]
        replicas = [(each.destination_stage_arn, each.participant_id) for each in self.book.list_active_replicas()]
        nobody = [(self.stage().arn, self.chance.choice(PARTICIPANTS))]
        group = self.chance.choice([published, published, published, encoders, replicas, replicas, nobody]) or nobody
        return self.chance.choice(group)

    async def _open_subscribe(self, claims: Claims, publisher_id: str) -> None:
        opened = await self.manager.participants.subscribe(
            claims, publisher_id=publisher_id, offer="offer", client=CLIENT
        )
        self.opened.append((claims.stage_arn, claims.participant_id, opened.connection_id))
        self.owners[opened.connection_id] = (claims.stage_arn, claims.participant_id)

    async def open_events(self) -> None:
        """Open an events websocket."""
        stage_arn, participant_id = self.stage().arn, self.chance.choice(PARTICIPANTS)
        claims = self.claims(stage_arn, participant_id)
        await self._attempt(claims, lambda: self._open_events(claims))

    async def _open_events(self, claims: Claims) -> None:
        watcher = Watcher(
            self.observer,
            claims.stage_arn,
            claims.participant_id,
            takes_changes=self.chance.random() < 0.5,
            publishers_only=self.chance.random() < 0.5,
        )
        connection_id = await self.manager.participants.open_events(
            claims,
            watcher=watcher,
            client=CLIENT,
            is_sole=self.chance.random() < 0.5,
        )
        self.sockets.append((claims.stage_arn, claims.participant_id, connection_id))
        self.watchers[connection_id] = watcher

    async def _attempt(self, claims: Claims, attempt: Callable[[], Awaitable[None]]) -> None:
        """Make an attempt and check its answer with the observer."""
        try:
            await attempt()
        except AttemptRefusedError:
            self.observer.refused(claims.stage_arn, claims.participant_id)
            raise
        self.observer.joined(claims.stage_arn, claims.participant_id)

    async def close(self) -> None:
        """End a media connection of one's own."""
        if self.opened:
            stage_arn, participant_id, connection_id = self.opened.pop(self.chance.randrange(len(self.opened)))
            await self.manager.participants.close(self.claims(stage_arn, participant_id), connection_id=connection_id)

    async def close_events(self) -> None:
        """Close an events websocket."""
        if self.sockets:
            _, _, connection_id = self.sockets.pop(self.chance.randrange(len(self.sockets)))
            self.watchers[connection_id].is_open = False
            cause = self.chance.choice([Cause.CLIENT, Cause.PEER_LOST])
            await self.manager.participants.close_events(connection_id=connection_id, cause=cause)

    async def set_mute_state(self) -> None:
        """Say whether audio is muted and video stopped, on an events websocket that may have ended."""
        if self.sockets:
            _, _, connection_id = self.chance.choice(self.sockets)
            audio_muted, video_stopped = (self.chance.choice([None, False, True]) for _ in range(2))
            self.manager.participants.set_mute_state(
                connection_id=connection_id, audio_muted=audio_muted, video_stopped=video_stopped
            )

    async def exchange(self) -> None:
        """Exchange the token of a participant that has one of the application's key."""
        own = [socket for socket in self.sockets if socket[1] in PARTICIPANTS[4:]]
        if own:
            stage_arn, participant_id, connection_id = self.chance.choice(own)
            rights = self.chance.choice([BOTH, (Capability.SUBSCRIBE,), (Capability.PUBLISH,), ()])
            claims = replace(
                self.claims(stage_arn, participant_id),
                capabilities=frozenset(rights),
                user_id=f"user-{self.chance.randrange(9)}",
                connection_token_id=None,
            )
            token = f"token-{len(self.tokens.known)}"
            self.tokens.known[token] = claims
            await self.manager.participants.exchange_token(connection_id=connection_id, token=token)

    async def replicate(self) -> None:
        """StartParticipantReplication of a participant that may be publishing."""
        source_arn, participant_id = self._publisher()
        await self.manager.replications.start(
            source_stage_arn=source_arn,
            destination_stage_arn=self.stage().arn,
            participant_id=participant_id,
            window_seconds=self.chance.choice([0, 2, 10]),
            attributes={},
        )

    async def unreplicate(self) -> None:
        """StopParticipantReplication."""
        running = self.book.list_active_replicas()
        if running:
            replica = self.chance.choice(running)
            await self.manager.replications.stop(
                source_stage_arn=replica.source_stage_arn,
                destination_stage_arn=replica.destination_stage_arn,
                participant_id=replica.participant_id,
            )

    async def disconnect(self) -> None:
        """DisconnectParticipant; only some, because their tokens are refused for good."""
        names = [*PARTICIPANTS, *(each.participant_id for each in self.world.configurations)]
        stage_arn, participant_id = self.stage().arn, self.chance.choice(names)
        replicas = self.book.list_active_replicas()
        if replicas and self.chance.random() < 0.3:
            replica = self.chance.choice(replicas)
            stage_arn, participant_id = replica.destination_stage_arn, replica.participant_id
        elif self.chance.random() < 0.7:
            return
        await self.manager.stages.disconnect_participant(
            stage_arn=stage_arn, participant_id=participant_id, reason="enough"
        )
        if participant_id in PARTICIPANTS:
            joined = self.observer.count_joined(stage_arn, participant_id)
            self.world.barred.setdefault((stage_arn, participant_id), joined)

    async def delete_stage(self) -> None:
        """DeleteStage, and another one in its place."""
        if self.chance.random() < 0.2:
            stage = self.world.stages.pop(self.chance.randrange(len(self.world.stages)))
            self.world.deleted.append(stage.arn)
            await self.create_stage()
            await self.manager.stages.delete(stage_arn=stage.arn)

    async def revoke_connection_token(self) -> None:
        """RevokeConnectionToken, rarely."""
        if self.chance.random() < 0.1:
            await self.manager.connection_tokens.revoke(account_id=ACCOUNT, token_id="connection")

    async def attach(self) -> None:
        """UpdateIngestConfiguration: attach a configuration to another stage."""
        configuration = self.chance.choice(self.world.configurations)
        await self.manager.ingest_configurations.update(
            arn=configuration.arn, stage_arn=self.stage().arn, redundant_ingest=None
        )

    async def encode(self) -> None:
        """Connect an encoder with a valid or an invalid key, over RTMP or RTMPS."""
        configuration = self.chance.choice(self.world.configurations)
        keys = [each.stream_key for each in configuration.redundant_credentials] or [configuration.stream_key]
        key = self.chance.choice(keys)
        if self.chance.random() < 0.1:
            key = key[:-1] + ("x" if key[-1] != "x" else "y")
        self.engine.ask(key, is_secure=self.chance.random() < 0.9)


Action: TypeAlias = Callable[[Clients], Awaitable[None]]

ACTIONS: Mapping[Action, int] = {
    Clients.publish: 12,
    Clients.subscribe: 12,
    Clients.open_events: 6,
    Clients.close: 6,
    Clients.close_events: 3,
    Clients.exchange: 4,
    Clients.set_mute_state: 4,
    Clients.replicate: 6,
    Clients.unreplicate: 1,
    Clients.disconnect: 2,
    Clients.delete_stage: 1,
    Clients.revoke_connection_token: 1,
    Clients.attach: 2,
    Clients.encode: 6,
}
"""What clients do, and how often."""

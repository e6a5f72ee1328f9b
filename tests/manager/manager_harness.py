"""A stage manager on a real book, with a scripted media engine, a settable clock and seeded randomness."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stagebook.book.decision_book import DecisionReader
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.manager.controlled.seeded_ids import SeededIds
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot
from stagebook.manager.resources.ingest_configuration_service import IngestSpec
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.clock import Clock
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.limits import RELAXED, Limits
from stagebook.stage.resources import Capability, ClientInfo, IngestConfiguration, IngestProtocol, Stage
from tests.book.distant_book import DistantBook, with_loaded_keys
from tests.book.sample import open_book
from tests.manager.compositions.scripted_composer import ScriptedComposer
from tests.manager.recordings.scripted_recorder import ScriptedRecorder
from tests.manager.scripted_engine import ScriptedEngine

REGION = "us-west-2"
ACCOUNT = "123456789012"
CLIENT = ClientInfo(browser_name="Chromium")
LINGER_MS = 1_000


@dataclass
class SettableClock:
    """Both clocks, standing still until a test moves them.

    Adding to `ms` lets time pass on both clocks. `jump_ms` moves the wall clock alone.
    """

    ms: int = 1_700_000_000_000
    jump_ms: int = 0

    def now_ms(self) -> int:
        return self.ms + self.jump_ms

    def monotonic_ms(self) -> int:
        return self.ms - 1_600_000_000_000


class SeededRandomness:
    """Random bytes that are the same in each run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token_bytes(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


class PlainTokens:
    """A token authority whose tokens are participant ids. JWTs are tested with the real authority.

    The imported keys are those of `book`.
    """

    def __init__(self, book: DecisionReader | None = None) -> None:
        self._book = book
        self.known: dict[str, Claims] = {}
        self.connections: dict[str, ConnectionClaims] = {}

    def mint(self, claims: Claims) -> str:
        self.known[claims.participant_id] = claims
        return claims.participant_id

    def is_known(self, token: str) -> bool:
        return token in self.known

    def has_key(self, arn: str) -> bool:
        return self._book is not None and self._book.get_resource(arn) is not None

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        claims = self.known.get(token)
        if claims is None or (now_ms is not None and claims.expires_at_seconds * 1000 <= now_ms):
            raise TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="expired or unknown")
        return claims

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        claims = self.connections.get(token)
        if claims is None or claims.expires_at_seconds * 1000 <= now_ms:
            raise TokenRefusedError(refusal=TokenRefusal.EXPIRED, detail="expired or unknown")
        return claims


@dataclass
class Watcher:
    """An events websocket that records its snapshots, changes and farewells."""

    takes_changes: bool = False
    publishers_only: bool = False
    changes: list[StageChange] = field(default_factory=list)
    snapshots: list[StageSnapshot] = field(default_factory=list)
    farewells: list[tuple[FarewellReason, str]] = field(default_factory=list)

    def show(self, snapshot: StageSnapshot) -> None:
        self.snapshots.append(snapshot)

    def show_change(self, change: StageChange) -> None:
        self.changes.append(change)

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        self.farewells.append((reason, detail))


@dataclass
class ManagerHarness:
    """A running manager with its book, engine, clock and tokens, and short forms of requests."""

    manager: StageManager
    book: SqliteBook
    engine: ScriptedEngine
    clock: SettableClock
    tokens: PlainTokens
    composer: ScriptedComposer
    recorder: ScriptedRecorder

    async def stage(self, name: str = "studio", *, recording: Mapping[str, Any] | None = None) -> Stage:
        stage, _ = await self.manager.stages.create(
            account_id=ACCOUNT, name=name, tags={}, recording=dict(recording or {}), tokens=[]
        )
        return stage

    async def recorded_stage(self, **members: object) -> Stage:
        """Create a stage whose participants are recorded, with these members of its configuration."""
        storage = await self.manager.configurations.create_storage(account_id=ACCOUNT, tags={}, bucket_name="bucket")
        return await self.stage(recording={"storageConfigurationArn": storage.arn, **members})

    def claims(self, stage: Stage, participant_id: str, *capabilities: Capability) -> Claims:
        return Claims(
            participant_id=participant_id,
            stage_arn=stage.arn,
            capabilities=frozenset(capabilities or Capability),
            user_id=f"user-{participant_id}",
            expires_at_seconds=self.clock.ms // 1000 + 3_600,
        )

    def admit(self, token: str, *, connection_token: str | None = None) -> Claims:
        """Verify and authorise a token as an attempt with it does."""
        claims = self.manager.participants.admit(token, connection_token=connection_token)
        self.manager._authorization.authorize(claims)
        return claims

    async def publish(self, claims: Claims, *, connect: bool = True) -> str:
        opened = await self.manager.participants.publish(claims, offer="offer", client=CLIENT)
        if connect:
            self.engine.connect(opened.connection_id)
        return opened.connection_id

    async def subscribe(self, claims: Claims, publisher_id: str, *, connect: bool = True) -> str:
        opened = await self.manager.participants.subscribe(
            claims, publisher_id=publisher_id, offer="offer", client=CLIENT
        )
        if connect:
            self.engine.connect(opened.connection_id)
        return opened.connection_id

    async def request_ingest(self, stream_key: str, *, is_secure: bool = True) -> str:
        """Let an encoder ask to be admitted and wait for the answer; return its ask id."""
        ask_id = self.engine.request_ingest(stream_key, is_secure=is_secure)
        await self.settled()
        return ask_id

    async def publish_rtmp(self, stream_key: str, *, is_secure: bool = True, connect: bool = True) -> str:
        """Let an encoder be admitted and its media flow; return its connection id."""
        ask_id = await self.request_ingest(stream_key, is_secure=is_secure)
        assert self.engine.refused.get(ask_id) is None
        connection_id = self.engine.admitted[ask_id]
        if connect:
            self.engine.connect(connection_id)
        return connection_id

    async def refused_encoder(self, stream_key: str, *, is_secure: bool = True) -> str:
        """Let an encoder be refused; return the detail that it received."""
        ask_id = await self.request_ingest(stream_key, is_secure=is_secure)
        assert ask_id not in self.engine.admitted
        return self.engine.refused[ask_id]

    async def configuration(
        self, stage: Stage | None, *, redundant: bool = False, insecure: bool = False
    ) -> IngestConfiguration:
        """Create an ingest configuration, attached to a stage or to none."""
        spec = IngestSpec(
            ingest_protocol=IngestProtocol.RTMPS,
            stage_arn="" if stage is None else stage.arn,
            user_id="encoder",
            attributes={"room": "one"},
            insecure_ingest=insecure,
            redundant_ingest=redundant,
        )
        return await self.manager.ingest_configurations.create(account_id=ACCOUNT, spec=spec)

    def set_limits(self, limits: Limits) -> None:
        """Change the quotas from now on."""
        unit = self.manager._unit
        unit.rules = msgspec.structs.replace(unit.rules, limits=limits)

    async def settled(self) -> None:
        """Wait until everything that was reported is durable and carried out."""
        await self.manager.settled()
        await asyncio.sleep(0)  # callbacks of durable transactions run

    def session_id(self, stage: Stage) -> str:
        """Return the id of the newest session of a stage."""
        return self.book.list_sessions(stage.arn, after=None, limit=1).items[0].session_id

    async def events(self, stage: Stage, participant_id: str) -> list[str]:
        """Return the participant's events in the newest session, oldest first: NAME, NAME:CODE or NAME(remote)."""
        await self.settled()
        recorded = self.book.list_events(stage.arn, self.session_id(stage), participant_id)
        return [
            entry.event.name.value
            + (f":{entry.event.error_code.value}" if entry.event.error_code else "")
            + (f"({entry.event.remote_participant_id})" if entry.event.remote_participant_id else "")
            for entry in recorded
        ]


class BookOfManager:
    """Which book managers decide on: the SQLite book itself, or memory in front of it, as if it were far away."""

    is_distant = False


def open_managed_book(path: Path) -> SqliteBook:
    """Open a book for a manager."""
    if not BookOfManager.is_distant:
        return open_book(path)
    with with_loaded_keys():
        return open_book(path)


def decided_book(book: SqliteBook, path: Path) -> SqliteBook | MemoryBook:
    """Return what the manager of a book decides on."""
    return DistantBook(book, path).memory if BookOfManager.is_distant else book


async def start_manager(manager: StageManager, decided: SqliteBook | MemoryBook, *, now_ms: int) -> int:
    """Start a manager, and recover all accounts, those of a distant book one after the other."""
    if isinstance(decided, SqliteBook):
        return await manager.start()
    manager.listen()
    distant = decided._book
    assert isinstance(distant, DistantBook)
    return sum([await manager.recover(account_id) for account_id in await distant.load_all(now_ms=now_ms)])


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop turn until a condition is true that nothing reports."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)


def no_sources(harness: ManagerHarness) -> bool:
    """Return whether no session uses a source of the engine."""
    return all(not len(session.sources) for session in harness.manager._unit.registry.sessions.values())


@asynccontextmanager
async def running_manager(
    path: Path,
    *,
    limits: Limits = RELAXED,
    clock: SettableClock | None = None,
    moved_clock: Clock | None = None,
    seed: int = 1,
    ids: SeededIds | None = None,
    channels: Mapping[str, str] | None = None,
    records: bool = True,
    before_start: Callable[[StageManager, SqliteBook], None] = lambda _manager, _book: None,
    recorder: ScriptedRecorder | None = None,
    composer: ScriptedComposer | None = None,
) -> AsyncIterator[ManagerHarness]:
    """Run a manager on the book at `path`. It ends without a shutdown, as in a crash; only the book is closed.

    With `moved_clock`, the manager has this clock in place of `clock`, and with `ids` their randomness.
    """
    clock = clock or SettableClock()
    book = open_managed_book(path)
    decided = decided_book(book, path)
    engine, tokens = ScriptedEngine(), PlainTokens(decided)
    composer, recorder = composer or ScriptedComposer(), recorder or ScriptedRecorder()
    manager = StageManager(
        book=decided,
        media=engine,
        tokens=tokens,
        endpoints=Endpoints(events="ws://e", whip="http://w", rtmp="rtmp://r/app/", rtmps="rtmps://r/app/"),
        limits=limits,
        region=REGION,
        clock=moved_clock or clock,
        randomness=SeededRandomness(seed) if ids is None else ids.of_resources,
        connection_randomness=None if ids is None else ids.of_connections,
        linger_ms=LINGER_MS,
        recording=recorder if records else None,
        composition=composer,
        channel_url=(channels or {}).get,
    )
    before_start(manager, book)
    await start_manager(manager, decided, now_ms=clock.now_ms())
    try:
        yield ManagerHarness(
            manager=manager,
            book=book,
            engine=engine,
            clock=clock,
            tokens=tokens,
            composer=composer,
            recorder=recorder,
        )
    finally:
        await manager.stop_watching()  # scheduled snapshots must not outlive the event loop
        await book.close()

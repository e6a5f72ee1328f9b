"""A stage manager with a SQLite book, the system clock and a scripted engine, and a record of its transactions."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.appends.scripted_engine import ScriptedEngine
from stagebook.book.changes import AppendEvent, Change
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Submission
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import Capability, ClientInfo, Stage

ACCOUNT_ID = "123456789012"
REGION = "us-west-2"
CLIENT = ClientInfo(os_name="Linux", browser_name="Chromium", browser_version="140.0.0.0")
OFFER = "v=0"
_LINGER_MS = 1_000
_TOKEN_SECONDS = 3_600


class UnusedTokenAuthority:
    """A token authority that reads no tokens. The benchmark passes claims to the manager, as an API does."""

    def mint(self, claims: Claims) -> str:
        """See TokenAuthority.mint."""
        return claims.participant_id

    def is_known(self, token: str) -> bool:
        """See TokenAuthority.is_known."""
        del token
        return True

    def has_key(self, arn: str) -> bool:
        """See TokenAuthority.has_key."""
        del arn
        return False

    def verify(self, token: str, *, now_ms: int | None) -> Claims:
        """See TokenAuthority.verify."""
        del token, now_ms
        raise TokenRefusedError(refusal=TokenRefusal.MALFORMED, detail="the benchmark uses no tokens")

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        """See TokenAuthority.verify_connection."""
        del token, now_ms
        raise TokenRefusedError(refusal=TokenRefusal.MALFORMED, detail="the benchmark uses no tokens")


class RecordingBook(SqliteBook):
    """A book that records the transactions it was given, if `record` is a list."""

    record: list[tuple[Change, ...]] | None = None

    def submit(self, changes: Sequence[Change]) -> Submission:
        """See Book.submit."""
        if self.record is not None:
            self.record.append(tuple(changes))
        return super().submit(changes)


@dataclass(kw_only=True)
class RunningManager:
    """A running stage manager with one stage, its book and its engine. `transactions` are those recorded."""

    manager: StageManager
    book: RecordingBook | MemoryBook
    engine: ScriptedEngine
    stage: Stage
    transactions: list[tuple[Change, ...]] = field(default_factory=list)

    def claims(self, participant_id: str) -> Claims:
        """Return the claims of a participant's token."""
        now_seconds = SystemClock().now_ms() // 1_000
        return Claims(
            participant_id=participant_id,
            stage_arn=self.stage.arn,
            capabilities=frozenset(Capability),
            user_id=f"user-{participant_id}",
            issued_at_seconds=now_seconds,
            expires_at_seconds=now_seconds + _TOKEN_SECONDS,
        )

    async def publish(self, participant_id: str) -> None:
        """Publish as a participant. Returns when its events are durable."""
        opened = await self.manager.participants.publish(self.claims(participant_id), offer=OFFER, client=CLIENT)
        self.engine.connect(opened.connection_id)
        await self.manager.settled()

    async def subscribe(self, claims: Claims, publisher_id: str) -> str:
        """Subscribe to a publisher and connect; return the connection id. JOINED is durable then."""
        opened = await self.manager.participants.subscribe(
            claims, publisher_id=publisher_id, offer=OFFER, client=CLIENT
        )
        self.engine.connect(opened.connection_id)
        return opened.connection_id


@asynccontextmanager
async def running_manager(path: Path, *, record: bool = False) -> AsyncIterator[RunningManager]:
    """Run a manager with one stage and a new book at `path`. With `record`, its transactions are recorded."""
    book = RecordingBook.open(path, read_secret=_no_secret)
    try:
        if record:
            book.record = []
        running = await started_manager(book)
        running.transactions = book.record or []
        yield running
    finally:
        await book.close()


async def started_manager(book: RecordingBook | MemoryBook, *, account_id: str | None = None) -> RunningManager:
    """Start a manager with one stage on an empty book. `account_id` is the only one that the book has, if not all."""
    engine = ScriptedEngine()
    manager = StageManager(
        book=book,
        media=engine,
        tokens=UnusedTokenAuthority(),
        endpoints=Endpoints(events="ws://e", whip="http://w", rtmp="rtmp://r", rtmps="rtmps://r"),
        limits=RELAXED,
        region=REGION,
        clock=SystemClock(),
        randomness=SystemRandomness(),
        linger_ms=_LINGER_MS,
    )
    manager.listen()
    await manager.recover(account_id)
    stage, _ = await manager.stages.create(account_id=ACCOUNT_ID, name="bench", tags={}, recording={}, tokens=[])
    return RunningManager(manager=manager, book=book, engine=engine, stage=stage)


def participant_ids(count: int) -> list[str]:
    """Return distinct participant ids in the form of the service: 12 letters and digits."""
    return [f"{number:06x}{secrets.token_hex(3)}" for number in range(count)]


def count_events(transactions: Sequence[Sequence[Change]]) -> int:
    """Return the number of events in these transactions."""
    return sum(isinstance(change, AppendEvent) for changes in transactions for change in changes)


def _no_secret(*, may_generate: bool) -> bytes:  # noqa: ARG001 - the book has no stream keys
    return bytes(SECRET_SIZE_BYTES)


async def replay(path: Path, transactions: Sequence[Sequence[Change]], *, sequential: bool) -> SqliteBook:
    """Submit transactions to a new book and return it. If `sequential`, await each one before the next."""
    book = SqliteBook.open(path, read_secret=_no_secret)
    durable: asyncio.Future[None] | None = None
    for changes in transactions:
        durable = book.submit(changes).durable
        if sequential:
            await durable
    if durable is not None:
        await durable
    return book

"""One seeded simulation: a scheduler that decides what happens next, over several runs of the server on one book.

Each step starts a request, lets the engine answer or report something, commits, moves the clocks, or lets the event
loop run for a few turns, so that requests, answers, commits, timers and clock jumps interleave in each order. A run
ends by a crash, a failing book or a shutdown; the next run recovers. The oracle looks at the book alone.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from stagebook.book.book_errors import BookFailedError
from stagebook.book.decision_book import DecisionBook
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.manager.session import transaction, unit_of_work
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.errors import StagebookError
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import ParticipantState, ReplicationType
from stagebook.stage.session.decide import decide
from stagebook.stage.session.decision import Context, Decision
from stagebook.stage.session.session_facts import SessionFact
from stagebook.stage.session.session_state import Session
from tests.audit.sound_book import require_sound
from tests.book.distant_book import DistantBook
from tests.book.postgres_books import empty_tables
from tests.manager.manager_harness import LINGER_MS, REGION, PlainTokens, SeededRandomness, SettableClock
from tests.manager.simulation import virtual_loop
from tests.manager.simulation.clients import ACTIONS, PARTICIPANTS, Action, Clients, World
from tests.manager.simulation.oracle import Observer, check_barred, check_end, check_state, histories
from tests.manager.simulation.recording_oracle import check_recordings, check_recordings_over
from tests.manager.simulation.simulated_engine import SimulatedEngine
from tests.manager.simulation.simulated_recorder import SimulatedRecorder
from tests.manager.simulation.stepped_book import SimulatedBook, SteppedWriter, stepped_book

RUNS = 3
STEPS_PER_RUN = 600
STEPS_PER_CHECK = 150
LIMITS = msgspec.structs.replace(
    RELAXED,
    participants_per_stage=7,
    publishers_per_stage=4,
    subscribers_per_stage=6,
    connections_per_participant=4,
    replications_per_participant=2,
    duration_seconds=600,
)
SOME_MS = (0, 1, 40, 300, 300, 1_200)
LONG_MS = (30_000, 700_000)
JUMPS_MS = (-86_400_000, -3_600_000, -5_000, 5_000, 3_600_000, 86_400_000)


class Progress(msgspec.Struct, kw_only=True):
    """What occurred in a simulation: events and error codes in the book, facts and orders in the sessions."""

    events: Counter[str] = msgspec.field(default_factory=Counter)
    codes: Counter[str] = msgspec.field(default_factory=Counter)
    facts: Counter[str] = msgspec.field(default_factory=Counter)
    orders: Counter[str] = msgspec.field(default_factory=Counter)
    ends: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, other: "Progress") -> None:
        """Add what occurred in another simulation."""
        for member in self.__struct_fields__:
            getattr(self, member).update(getattr(other, member))


def simulate(seed: int, folder: Path, *, is_distant: bool = False) -> Progress:
    """Run the simulation of a seed with a new book in `folder`. Raises AssertionError for a broken rule.

    With `is_distant`, the manager reads memory, and each fetch from the book takes some turns of the event loop.
    """
    return virtual_loop.run(_simulate(seed, folder / "book.sqlite3", is_distant=is_distant))


def simulate_on_postgres(seed: int, url: str) -> Progress:
    """Run the simulation of a seed with the book in the database at `url`, which is emptied before."""
    empty_tables(url)
    return virtual_loop.run(_simulate(seed, url, is_distant=False))


async def _simulate(seed: int, path: Path | str, *, is_distant: bool) -> Progress:
    chance = random.Random(seed)
    progress = Progress()
    world = World(clock=SettableClock())
    with counting(progress):
        for number in range(RUNS):
            await ServerRun(path, world, chance, seed * 100 + number, progress, is_distant=is_distant).run()
        last = ServerRun(path, world, chance, seed * 100 + RUNS, progress, is_distant=is_distant)
        await last.check_recovered()
    return progress


@contextmanager
def counting(progress: Progress) -> Iterator[None]:
    """Count the facts and orders that pass through `decide`."""

    def counted(session: Session, fact: SessionFact, context: Context) -> Decision:
        decision = decide(session, fact, context)
        progress.facts[type(fact).__name__] += 1
        progress.orders.update(type(order).__name__ for order in decision.orders)
        return decision

    with patch.object(transaction, "decide", counted), patch.object(unit_of_work, "decide", counted):
        yield


class ServerRun:
    """One run of the server, from its start to a crash, a failure or a shutdown."""

    def __init__(
        self,
        path: Path | str,
        world: World,
        chance: random.Random,
        seed: int,
        progress: Progress,
        *,
        is_distant: bool,
    ) -> None:
        self._path = path
        self._is_distant = is_distant
        self._distant: DistantBook | None = None
        self._world = world
        self._chance = chance
        self._seed = seed
        self._progress = progress
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._steps_of_slow_disk = 0

    async def run(self) -> None:
        """Start the server, let things happen, and end it in some way."""
        with stepped_book(self._path, is_distant=self._is_distant) as (book, writer):
            manager, engine = self._start(book)
            self._observer = Observer(book)
            try:
                await self._run(book, writer, manager, engine)
            finally:
                await self._abandon(writer, manager)
            self._check(book)
            if isinstance(self._path, Path):
                require_sound(self._path)

    async def _run(
        self, book: SimulatedBook, writer: SteppedWriter, manager: StageManager, engine: SimulatedEngine
    ) -> None:
        if not await self._step_until_done(self._start_manager(manager), writer, may_crash=True):
            self._progress.ends["crash while recovering"] += 1
            return
        clients = Clients(
            world=self._world,
            book=book,
            manager=manager,
            engine=engine,
            observer=self._observer,
            chance=self._chance,
        )
        clients.tokens = self._tokens
        await self._step_until_done(clients.prepare(), writer, may_crash=False)
        for number in range(STEPS_PER_RUN):
            await self._step(clients, writer)
            if number % STEPS_PER_CHECK == 0:
                self._check(book)
        self._check(book)
        await self._end(book, writer, manager, clients)

    async def check_recovered(self) -> None:
        """Start once more and check the book when everything is closed."""
        with stepped_book(self._path, is_distant=self._is_distant) as (book, writer):
            manager, _ = self._start(book)
            await self._step_until_done(self._start_manager(manager), writer, may_crash=False)
            check_end(book, self._world.stage_arns)
            check_recordings(book, self._world.stage_arns, self._world.windows)
            check_recordings_over(book, self._world.stage_arns)
            if isinstance(self._path, Path):
                require_sound(self._path)
            for history in histories(book, self._world.stage_arns):
                for entry in (*history.events, *history.recordings):
                    self._progress.events[entry.event.name.value] += 1
                    if entry.event.error_code is not None:
                        self._progress.codes[entry.event.error_code.value] += 1
            await manager.stop_watching()

    async def _start_manager(self, manager: StageManager) -> None:
        if self._distant is None:
            await manager.start()
            return
        manager.listen()
        for account_id in await self._distant.load_all(now_ms=self._world.clock.now_ms()):
            await manager.recover(account_id)

    def _start(self, book: SimulatedBook) -> tuple[StageManager, SimulatedEngine]:
        decided: DecisionBook = book
        if self._is_distant:
            assert isinstance(book, SqliteBook)
            assert isinstance(self._path, Path)
            self._distant = DistantBook(book, self._path, turns=lambda: self._chance.choice([0, 0, 1, 4]))
            decided = self._distant.memory
        self._tokens = PlainTokens(decided)
        engine = SimulatedEngine(self._chance)
        self._recorder = SimulatedRecorder(self._chance)
        manager = StageManager(
            book=decided,
            media=engine,
            tokens=self._tokens,
            endpoints=Endpoints(events="ws://e", whip="http://w", rtmp="rtmp://r/app/", rtmps="rtmps://r/app/"),
            limits=LIMITS,
            region=REGION,
            clock=self._world.clock,
            randomness=SeededRandomness(self._seed),
            linger_ms=LINGER_MS,
            recording=self._recorder,
        )
        return manager, engine

    async def _step_until_done(
        self, work: Coroutine[Any, Any, object], writer: SteppedWriter, *, may_crash: bool
    ) -> bool:
        """Run a coroutine while commits go on; return whether it ended. A crash comes in between, sometimes."""
        task = asyncio.get_running_loop().create_task(work)
        crash_at = self._chance.randrange(6) if may_crash and self._chance.random() < 0.3 else None
        step = 0
        while not task.done():
            if step == crash_at:
                writer.abandon()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return False
            step += 1
            if writer.waiting and (crash_at is None or self._chance.random() < 0.5):
                writer.write(len(writer.waiting))
                writer.report()
            await asyncio.sleep(0)
        await task
        return True

    async def _step(self, clients: Clients, writer: SteppedWriter) -> None:
        """Let one thing happen, and the event loop run for a few turns."""
        chance, engine = self._chance, clients.engine
        steps: Mapping[Callable[[], None], int] = {
            partial(self._start_request, clients): 20,
            engine.answer: 18,
            engine.connect: 18,
            engine.deliver: 24,
            self._recorder.report: 8,
            partial(self._commit, writer): 26,
            partial(self._let_time_pass, clients.manager, SOME_MS): 6,
            engine.lose: 1,
            engine.measure: 1,
            self._cancel_request: 1,
            partial(self._do_something_rare, clients): 1,
        }
        chance.choices(list(steps), weights=list(steps.values()))[0]()
        for _ in range(chance.choice([0, 1, 3, 8])):
            await asyncio.sleep(0)

    def _do_something_rare(self, clients: Clients) -> None:
        """Crash the engine, set the wall clock, or let much time pass."""
        match self._chance.choice(["engine crash", "jump", "jump", "long"]):
            case "engine crash":
                clients.engine.crash()
            case "jump":
                self._world.clock.jump_ms = self._chance.choice([0, *JUMPS_MS])
            case _:
                self._let_time_pass(clients.manager, LONG_MS)

    def _cancel_request(self) -> None:
        """Let a client go away while its request is in progress."""
        if self._tasks:
            self._chance.choice(sorted(self._tasks, key=lambda task: task.get_name())).cancel()

    def _start_request(self, clients: Clients) -> None:
        action = self._chance.choices(list(ACTIONS), weights=list(ACTIONS.values()))[0]
        task = asyncio.get_running_loop().create_task(self._request(action, clients))
        task.set_name(f"{len(self._tasks):04}-{action.__name__}-{self._chance.random()}")
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    async def _request(self, action: Action, clients: Clients) -> None:
        with contextlib.suppress(StagebookError, BookFailedError):  # both are proper answers
            await action(clients)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failures.append(failure)

    def _commit(self, writer: SteppedWriter) -> None:
        """Commit some of what waits. The server learns of it now, or later."""
        if self._steps_of_slow_disk:
            self._steps_of_slow_disk -= 1
            return
        if self._chance.random() < 0.03:
            self._steps_of_slow_disk = 20
        if writer.waiting:
            writer.write(self._chance.randint(1, len(writer.waiting)))
        if self._chance.random() < 0.8:
            writer.report()

    def _let_time_pass(self, manager: StageManager, choices: Sequence[int]) -> None:
        milliseconds = self._chance.choice(choices)
        self._world.clock.ms += milliseconds
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_loop.VirtualLoop)
        loop.advance(milliseconds)
        manager.tick()

    def _check(self, book: SimulatedBook) -> None:
        """Check the book as it is now, and that no request met an unexpected error."""
        check_state(book, self._world.stage_arns)
        check_barred(book, self._world.barred)
        check_recordings(book, self._world.stage_arns, self._world.windows)
        for failure in (*self._failures, *self._observer.violations):
            raise failure

    async def _end(self, book: SimulatedBook, writer: SteppedWriter, manager: StageManager, clients: Clients) -> None:
        """End the run: a shutdown, a crash at some moment of a commit, or a book that fails."""
        how = self._chance.choice(["shutdown", "crash", "crash after the commit", "failing book"])
        self._progress.ends[how] += 1
        engine = clients.engine
        if how == "shutdown":
            await self._shut_down(book, writer, manager, clients)
            check_state(book, self._world.stage_arns)
            assert book.list_open_sessions() == []
            assert book.list_open_recordings() == []
            assert not engine.connections, "a connection was left in the engine"
            assert not engine.sources, "a source was left in the engine"
        elif how == "crash after the commit":
            writer.write(len(writer.waiting))
        elif how == "failing book":
            writer.fail()
            for _ in range(20):
                await asyncio.sleep(0)

    def _check_connections(self, book: SimulatedBook, clients: Clients) -> None:
        """Check, while nothing is in progress, that the book and the engine agree on the connected participants."""
        connected = {
            (history.session.stage_arn, history.record.participant_id): history.record
            for history in histories(book, self._world.stage_arns)
            if history.record.state is ParticipantState.CONNECTED
        }
        owners = {clients.owners[each] for each in clients.engine.connections if each in clients.owners}
        assert owners <= set(connected), "the engine has a connection of a participant that has left"
        unknown = [each for each in clients.engine.connections.values() if each.kind != "ingest"]
        if len(unknown) > sum(each in clients.owners for each in clients.engine.connections):
            return  # a client went away before it was answered: its connection is still there, but not known here
        watching = {(each.stage_arn, each.participant_id) for each in clients.watchers.values() if each.is_open}
        for owner, record in connected.items():
            if record.participant_id in PARTICIPANTS and record.replication_type is not ReplicationType.REPLICA:
                assert owner in owners | watching, "a participant is connected, and has no connection"

    async def _shut_down(
        self,
        book: SimulatedBook,
        writer: SteppedWriter,
        manager: StageManager,
        clients: Clients,
    ) -> None:
        """Let requests end and shut the manager down, as the server does."""
        engine = clients.engine
        while await self._is_busy(engine, writer):
            engine.answer()
            engine.deliver()
            writer.write(len(writer.waiting))
            writer.report()
        self._check_connections(book, clients)
        ending = asyncio.ensure_future(manager.shutdown())
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_loop.VirtualLoop)
        while not ending.done():
            engine.answer()
            self._recorder.report()
            loop.advance(100)  # a recording without a report is waited for, for some seconds
            writer.write(len(writer.waiting))
            writer.report()
            await asyncio.sleep(0)
        await ending

    async def _is_busy(self, engine: SimulatedEngine, writer: SteppedWriter) -> bool:
        """Let the manager carry out the orders of the last commit; return whether anything is still in progress."""
        for _ in range(8):
            await asyncio.sleep(0)
        return bool(self._tasks or engine.reports or engine.requests or writer.waiting or writer.written)

    async def _abandon(self, writer: SteppedWriter, manager: StageManager) -> None:
        """End all tasks of the run, as the end of the process does."""
        writer.abandon()
        await manager.stop_watching()
        current = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not current]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._distant is not None:
            self._distant.close()

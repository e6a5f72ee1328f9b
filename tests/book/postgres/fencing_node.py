"""A small node: takes accounts, writes joins and leaves of participants into them, and prints what it acknowledges.

    python -m tests.book.postgres.fencing_node URL ACCOUNTS

It has no part of a server but what decides who may write: the run, the leases, the contact with the database, and the
function that writes groups. Each line that it prints is a JSON object:

    {"what": "started", "run": 3}
    {"what": "took", "account": 1, "recovered": 17}    the account is its own, and what was open in it is closed
    {"what": "ack", "account": 1, "participant": 3000001, "name": 0}    as an answer to a client
    {"what": "ended", "why": "RunFencedError"}

Account N is session N of the book. It has no table of participants: their numbers are unique, because they contain the
number of the run. Sequence numbers are those of a server.
"""

import itertools
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from stagebook.book.book_errors import BookFailedError
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.postgres.leases.account_leases import take_account
from stagebook.book.postgres.leases.database_contact import DatabaseContact
from stagebook.book.postgres.leases.lease_reads import read_leases
from stagebook.book.postgres.leases.node_run import (
    HEARTBEAT_SECONDS,
    LEASE_SECONDS,
    read_sequence_slot,
    register_run,
    renew_run,
)
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import BookUnreachableError
from stagebook.book.postgres.schema.account_functions import SEQUENCE_SLOTS
from stagebook.book.postgres.write_function import WRITE, group_parameters
from stagebook.book.tables.change_rows import EVENTS, TransactionRows
from stagebook.book.tables.rows import EVENT_NAME_CODE, event_row
from stagebook.cluster.known_leases import KnownLeases
from stagebook.stage.events import Event, EventName

MARGIN_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 30.0
RECOVERED: Final = "crash_recovery"
MAXIMUM_ON_STAGE: Final = 20
PARTICIPANTS_OF_RUN: Final = 1_000_000
JOINED, LEFT = EVENT_NAME_CODE[EventName.JOINED], EVENT_NAME_CODE[EventName.LEFT]
_OPEN: Final = "SELECT participant_number FROM open_event WHERE session_key = %s"
_print_lock = threading.Lock()


def say(**facts: Any) -> None:  # noqa: ANN401 - what JSON can have
    """Print a line."""
    with _print_lock:
        print(json.dumps({"time": time.time(), **facts}), flush=True)


class Taken:
    """An account that this run owns, and what its former owner left open."""

    def __init__(self, account: int, last_sequence: int, open_participants: list[int]) -> None:
        self.account = account
        self.last_sequence = last_sequence
        self.open_participants = open_participants


class Writer:
    """Writes groups, and makes up what participants do."""

    def __init__(self, url: str) -> None:
        self._connection = PostgresConnection(url)
        asked = time.monotonic()
        self.run_id = register_run(self._connection, node=str(os.getpid()), internal_url="", software_version="")
        self._valid_until = asked + LEASE_SECONDS - MARGIN_SECONDS
        self.taken: queue.SimpleQueue[Taken] = queue.SimpleQueue()
        self._numbers = itertools.count(self.run_id * PARTICIPANTS_OF_RUN)
        self._on_stage: dict[int, list[int]] = {}
        slot = read_sequence_slot(self._connection, self.run_id)
        self._slot, self._sequence = slot.slot, slot.last_sequence
        self._group = 0

    def work(self) -> None:
        """Write until the run is over or the database is gone."""
        while True:
            rows: TransactionRows = []
            acknowledged: list[dict[str, Any]] = []
            while not self.taken.empty():
                acknowledged.append(self._recover(self.taken.get(), rows))
            for account in self._on_stage:
                acknowledged += [self._happen(account, rows) for _ in range(random.randrange(4))]
            if rows:
                self._write(rows)
            else:
                time.sleep(min(HEARTBEAT_SECONDS, 0.02))
                self._repeat_until_answered(lambda: renew_run(self._connection, self.run_id))
            # An answer that comes later could contradict the new owner.
            if time.monotonic() < self._valid_until:
                for facts in acknowledged:
                    say(**facts)
            time.sleep(0.002)

    def _write(self, rows: TransactionRows) -> None:
        self._group += 1
        parameters = (self.run_id, self._group, self._sequence, *group_parameters(rows))
        self._repeat_until_answered(lambda: self._connection.execute(WRITE, parameters))

    def _repeat_until_answered(self, call: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            asked = time.monotonic()
            try:
                call()
            except BookUnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                self._valid_until = asked + LEASE_SECONDS - MARGIN_SECONDS
                return

    def _recover(self, taken: Taken, rows: TransactionRows) -> dict[str, Any]:
        """Close what the former owner left open."""
        self._sequence = max(self._sequence, taken.last_sequence)
        for participant in taken.open_participants:
            self._append(rows, taken.account, participant, Event(name=EventName.LEFT, detail=RECOVERED))
        self._on_stage[taken.account] = []
        return {"what": "took", "account": taken.account, "recovered": len(taken.open_participants)}

    def _happen(self, account: int, rows: TransactionRows) -> dict[str, Any]:
        """Let a participant join or leave."""
        on_stage = self._on_stage[account]
        if len(on_stage) > MAXIMUM_ON_STAGE:
            name, participant = EventName.LEFT, on_stage.pop(random.randrange(len(on_stage)))
        else:
            name, participant = EventName.JOINED, next(self._numbers)
            on_stage.append(participant)
        self._append(rows, account, participant, Event(name=name))
        return {"what": "ack", "account": account, "participant": participant, "name": EVENT_NAME_CODE[name]}

    def _append(self, rows: TransactionRows, account: int, participant: int, event: Event) -> None:
        sequence = max(self._sequence + 1, time.time_ns() // 1_000_000 << SEQUENCE_TIME_SHIFT)
        self._sequence = sequence + (self._slot - sequence) % SEQUENCE_SLOTS
        row = event_row(account, participant, self._sequence, event)
        rows.append((EVENTS, json.dumps(row)))


class Keeper:
    """Takes the accounts 1 to `accounts` that are free, then those of dead runs."""

    def __init__(self, url: str, writer: Writer, accounts: int) -> None:
        self._connection = PostgresConnection(url)
        self._writer = writer
        self._accounts = accounts
        self._contact = DatabaseContact()
        self._known = KnownLeases()
        self._held: set[str] = set()

    def work(self) -> None:
        """Take accounts until the run is over."""
        for account in range(1, self._accounts + 1):
            self._take(str(account))
        while True:
            time.sleep(LOOK_SECONDS * random.uniform(0.7, 1.3))
            try:
                self._look()
            except BookUnreachableError:
                self._contact.note_failure()

    def _look(self) -> None:
        read = read_leases(self._connection, self._known.position)
        self._known.apply(read)
        now = time.monotonic()
        self._contact.note_answer(now, database_seconds=read.database_seconds)
        if self._contact.may_take(now):
            for account_id in self._known.abandoned(run_id=self._writer.run_id, held=self._held):
                self._take(account_id)

    def _take(self, account_id: str) -> None:
        taking = take_account(self._connection, account_id, run_id=self._writer.run_id)
        if taking.is_taken:
            self._held.add(account_id)
            found = [number for (number,) in self._connection.execute(_OPEN, (int(account_id),))]
            self._writer.taken.put(Taken(int(account_id), taking.last_sequence, found))


def main() -> None:
    """Run the node until its run is over."""
    url, accounts = sys.argv[1], int(sys.argv[2])
    writer = Writer(url)
    say(what="started", run=writer.run_id)

    keeper = Keeper(url, writer, accounts)
    threading.Thread(target=until_failure, args=(keeper.work,), daemon=True).start()
    until_failure(writer.work)


def until_failure(work: Callable[[], None]) -> None:
    """Work until the run is over, then end the process."""
    try:
        work()
    except BookFailedError as error:
        say(what="ended", why=type(error).__name__, text=str(error))
        os._exit(3)


if __name__ == "__main__":
    main()

"""The tables of webhooks as the delivery process writes them: positions, history, dead letters, counts.

What has happened is collected in memory and written by `flush` in one transaction, with the positions that it leads to.
So a dead letter is stored before the position passes it, and a delivery that is not stored is repeated.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from stagebook.book.composition_log import LogEntry
from stagebook.webhooks.delivery.delivery_schedule import DeliveryState, Progress
from stagebook.webhooks.delivery_outcome import MAXIMUM_REASON_LENGTH
from stagebook.webhooks.delivery_records import Backlog, Run
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.webhook_file import DeliveryOrigin, RunKind
from stagebook.webhooks.webhook_place import WebhookPlace, open_for_delivery
from stagebook.webhooks.webhook_store import WebhookSeal, read_destinations

HISTORY_SIZE = 1_000
"""The deliveries that are kept of each destination."""
DEAD_LETTERS_SIZE = 10_000
"""The dead letters that are kept of each destination; older ones are removed, and counted."""

_PUT_DELIVERY = """
INSERT INTO delivery (destination_id, run_key, sequence, event_id, name, session_id, origin, state, attempts, status,
    error, first_ms, last_ms, next_ms)
VALUES (:id, :run, :sequence, :event, :name, :session, :origin, :state, :attempts, :status, :error, :now, :now, :next)
ON CONFLICT (destination_id, run_key, sequence) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
    status = excluded.status, error = excluded.error, last_ms = excluded.last_ms, next_ms = excluded.next_ms
"""
_PUT_DEAD_LETTER = """
INSERT INTO dead_letter VALUES (:id, :sequence, :event, :name, :session, :attempts, :status, :error, :now)
ON CONFLICT (destination_id, sequence) DO UPDATE SET attempts = excluded.attempts, status = excluded.status,
    error = excluded.error, died_ms = excluded.died_ms
"""
_PRUNE_DELIVERIES = """
DELETE FROM delivery WHERE destination_id = :id AND delivery_key <= (
    SELECT delivery_key FROM delivery WHERE destination_id = :id ORDER BY delivery_key DESC LIMIT 1 OFFSET :size)
"""
_PRUNE_DEAD_LETTERS = """
DELETE FROM dead_letter WHERE destination_id = :id AND sequence <= (
    SELECT sequence FROM dead_letter WHERE destination_id = :id ORDER BY sequence DESC LIMIT 1 OFFSET :size)
"""
_PUT_BACKLOG = """
INSERT INTO backlog VALUES (:id, :pending, :complete, :oldest, :blocked, :delivered, :failed, :dead)
ON CONFLICT (destination_id) DO UPDATE SET pending = excluded.pending, is_complete = excluded.is_complete,
    oldest_sequence = excluded.oldest_sequence, blocked_sessions = excluded.blocked_sessions,
    delivered = excluded.delivered, failed_attempts = excluded.failed_attempts, dead = excluded.dead
"""


class SampleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A test event that is to be delivered."""

    key: int
    destination_id: str
    event_id: str
    requested_ms: int


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt and what became of it. `event` is None if the book no longer has it."""

    destination_id: str
    run_key: int
    sequence: int
    session_id: str
    origin: DeliveryOrigin
    event_id: str = ""
    name: str = ""
    state: DeliveryState
    attempts: int
    status: int | None = None
    error: str | None = None
    now_ms: int
    next_ms: int | None = None

    def of_event(self, event: LogEntry) -> "JournalEntry":
        """Return the entry with what the history shows of the event."""
        return msgspec.structs.replace(self, event_id=event.event_id, name=event.event.name.value)


class DeliveryJournal:
    """The connection of the delivery process to the tables. Methods raise WebhookStorageError."""

    def __init__(self, place: WebhookPlace, *, seal: WebhookSeal, run_id: int | None = None) -> None:
        """`run_id` is the run of the node, for tables in a database. Raises WebhookStorageError."""
        self._tables = open_for_delivery(place, run_id=run_id)
        self._seal = seal
        self._entries: list[JournalEntry] = []
        self._progress: dict[int, Progress] = {}
        self._stored: dict[int, Progress] = {}
        self._gone: dict[str, str] = {}
        self._version: object = None

    def close(self) -> None:
        """Close the connection, without writing what was collected."""
        self._tables.close()

    def has_changed(self) -> bool:
        """Return whether operators have changed something since the last call, or the accounts have changed."""
        version, self._version = self._version, (self._tables.version(), self._tables.owned_accounts())
        return version != self._version

    def owned_accounts(self) -> Collection[str] | None:
        """Return the accounts whose events this process delivers, None for all accounts."""
        return self._tables.owned_accounts()

    def destinations(self) -> list[Destination]:
        """Return all destinations."""
        return read_destinations(self._tables, self._seal)

    def runs(self) -> list[tuple[Run, Progress]]:
        """Return all runs with what they have finished."""
        lagging: dict[int, dict[str, int]] = {}
        for run_key, session_id, position in self._rows("SELECT run_key, session_id, position FROM lagging_session"):
            lagging.setdefault(run_key, {})[session_id] = position
        found = []
        for row in self._rows(
            "SELECT run_key, destination_id, kind, position, end_sequence, session_id, since_ms FROM run"
            " ORDER BY run_key"
        ):
            members = dict(zip(Run.__struct_fields__, row, strict=True))
            run = Run(**members | {"kind": RunKind(members["kind"])})
            found.append((run, Progress(position=run.position, lagging=lagging.get(run.key, {}))))
        return found

    def test_requests(self, destination_ids: Collection[str], *, limit: int) -> list[SampleRequest]:
        """Return the oldest test events that were asked for of these destinations."""
        rows = self._rows(
            "SELECT request_key, destination_id, event_id, requested_ms FROM test_request ORDER BY request_key"
        )
        found = [SampleRequest(key=row[0], destination_id=row[1], event_id=row[2], requested_ms=row[3]) for row in rows]
        return [each for each in found if each.destination_id in destination_ids][:limit]

    def backlogs(self) -> dict[str, Backlog]:
        """Return the stored backlogs, whose counts go on."""
        rows = self._rows("SELECT destination_id, delivered, failed_attempts, dead FROM backlog")
        return {
            row[0]: Backlog(destination_id=row[0], delivered=row[1], failed_attempts=row[2], dead=row[3])
            for row in rows
        }

    def dead_letters_after(self, run: Run, sequence: int, *, limit: int) -> list[int]:
        """Return the sequence numbers of the next dead letters that a run delivers again."""
        rows = self._rows(
            "SELECT sequence FROM dead_letter WHERE destination_id = ? AND sequence > ? AND sequence <= ?"
            " AND session_id = coalesce(?, session_id) ORDER BY sequence LIMIT ?",
            (run.destination_id, sequence, run.end_sequence, run.session_id, limit),
        )
        return [row[0] for row in rows]

    def note(self, entry: JournalEntry) -> None:
        """Collect what became of an attempt."""
        self._entries.append(entry)

    def note_progress(self, run_key: int, progress: Progress) -> None:
        """Collect what a run has finished."""
        if self._stored.get(run_key) != progress:
            self._progress[run_key] = progress

    def note_gone(self, destination_id: str, *, reason: str) -> None:
        """Collect that a destination wants no more events: it is disabled."""
        self._gone[destination_id] = reason

    def flush(self, backlogs: Mapping[str, Backlog]) -> None:
        """Write everything that was collected, and these backlogs, in one transaction.

        A run of a node that is over writes nothing: another node delivers what it has not stored.
        """
        if not (self._entries or self._progress or self._gone or backlogs):
            return
        with self._tables.transaction():
            if self._tables.may_write():
                self._write(backlogs)
        self._stored |= self._progress
        self._entries, self._progress, self._gone = [], {}, {}

    def end_run(self, run_key: int) -> None:
        """Remove a run that is complete."""
        with self._tables.transaction():
            self._rows("DELETE FROM run WHERE run_key = ?", (run_key,))
            self._rows("DELETE FROM lagging_session WHERE run_key = ?", (run_key,))
        self._progress.pop(run_key, None)
        self._stored.pop(run_key, None)

    def end_test(self, request_key: int) -> None:
        """Remove a test request that was carried out."""
        self._rows("DELETE FROM test_request WHERE request_key = ?", (request_key,))

    def _write(self, backlogs: Mapping[str, Backlog]) -> None:
        known = {row[0] for row in self._rows("SELECT destination_id FROM destination")}
        entries = [each for each in self._entries if each.destination_id in known]
        self._tables.many(_PUT_DELIVERY, [_parameters(each) for each in entries])
        self._write_dead_letters(entries)
        for destination_id in {each.destination_id for each in entries}:
            self._rows(_PRUNE_DELIVERIES, {"id": destination_id, "size": HISTORY_SIZE})
        for run_key, progress in self._progress.items():
            self._write_progress(run_key, progress)
        self._write_backlogs([each for name, each in backlogs.items() if name in known])
        for destination_id, reason in self._gone.items():
            self._disable(destination_id, reason=reason)

    def _write_dead_letters(self, entries: list[JournalEntry]) -> None:
        dead = [each for each in entries if each.state is DeliveryState.DEAD and each.origin is not DeliveryOrigin.TEST]
        self._tables.many(_PUT_DEAD_LETTER, [_parameters(each) for each in dead])
        for destination_id in {each.destination_id for each in dead}:
            self._rows(_PRUNE_DEAD_LETTERS, {"id": destination_id, "size": DEAD_LETTERS_SIZE})
        delivered = [each for each in entries if each.state is DeliveryState.DELIVERED]
        self._tables.many(
            "DELETE FROM dead_letter WHERE destination_id = ? AND sequence = ?",
            [(each.destination_id, each.sequence) for each in delivered],
        )

    def _disable(self, destination_id: str, *, reason: str) -> None:
        for (document,) in self._rows("SELECT document FROM destination WHERE destination_id = ?", (destination_id,)):
            stored = msgspec.json.decode(document, type=Destination)
            disabled = msgspec.structs.replace(stored, disabled_reason=reason, revision=stored.revision + 1)
            self._rows(
                "UPDATE destination SET document = ? WHERE destination_id = ?",
                (msgspec.json.encode(disabled).decode(), destination_id),
            )

    def _write_progress(self, run_key: int, progress: Progress) -> None:
        self._rows("UPDATE run SET position = ? WHERE run_key = ?", (progress.position, run_key))
        self._rows("DELETE FROM lagging_session WHERE run_key = ?", (run_key,))
        self._tables.many(
            "INSERT INTO lagging_session SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM run WHERE run_key = ?)",
            [(run_key, session_id, position, run_key) for session_id, position in progress.lagging.items()],
        )

    def _write_backlogs(self, backlogs: list[Backlog]) -> None:
        self._tables.many(
            _PUT_BACKLOG,
            [
                {
                    "id": each.destination_id,
                    "pending": each.pending,
                    "complete": int(each.is_complete),
                    "oldest": each.oldest_sequence,
                    "blocked": each.blocked_sessions,
                    "delivered": each.delivered,
                    "failed": each.failed_attempts,
                    "dead": each.dead,
                }
                for each in backlogs
            ],
        )

    def _rows(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - stored values
        return self._tables.rows(statement, parameters)


def _parameters(entry: JournalEntry) -> dict[str, Any]:
    return {
        "id": entry.destination_id,
        "run": entry.run_key,
        "sequence": entry.sequence,
        "event": entry.event_id,
        "name": entry.name,
        "session": entry.session_id,
        "origin": entry.origin.value,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "status": entry.status,
        "error": entry.error and entry.error[:MAXIMUM_REASON_LENGTH],
        "now": entry.now_ms,
        "next": entry.next_ms,
    }

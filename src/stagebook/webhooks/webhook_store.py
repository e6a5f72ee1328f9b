"""The tables of webhooks as the API, the command line and the settings use them: destinations, replays, deliveries.

Secrets are stored sealed: encrypted with AES-256-SIV (RFC 5297) under a secret of the data folder that is not in this
file, and bound to their destination. A copy of the file alone does not let anybody sign messages.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from stagebook.stage.errors import ConflictError, ResourceNotFoundError
from stagebook.webhooks.delivery_records import Backlog, DeadLetter, DeliveryRecord
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.webhook_file import RunKind
from stagebook.webhooks.webhook_place import WebhookPlace, open_for_operators
from stagebook.webhooks.webhook_tables import WebhookStorageError, WebhookTables

_DELIVERIES = """
SELECT delivery_key, event_id, name, session_id, origin, state, attempts, status, error, first_ms, last_ms, next_ms
FROM delivery WHERE destination_id = :id AND delivery_key < :before ORDER BY delivery_key DESC LIMIT :limit
"""
_DEAD_LETTERS = """
SELECT sequence, event_id, name, session_id, attempts, status, error, died_ms
FROM dead_letter WHERE destination_id = :id AND sequence > :after ORDER BY sequence LIMIT :limit
"""
_BACKLOGS = """
SELECT destination_id, pending, is_complete, oldest_sequence, blocked_sessions, delivered, failed_attempts, dead
FROM backlog
"""
_NO_LIMIT = (1 << 63) - 1
UNREADABLE_SECRET = "its secret cannot be opened: restore webhook-secret from a backup, or rotate the secret"  # noqa: S105 - a text
MAXIMUM_REPLAYS = 10
"""Replays of one destination at a time."""
MAXIMUM_WAITING_TESTS = 10
"""Test events of one destination that wait for the delivery process."""


class WebhookSeal:
    """Seals and opens the secrets of destinations with the secret of the data folder."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(secret)

    def seal(self, secret: str, *, destination_id: str) -> str:
        """Return the sealed form of a secret."""
        return base64.b64encode(self._cipher.encrypt(secret.encode(), [destination_id.encode()])).decode("ascii")

    def open(self, sealed: str, *, destination_id: str) -> str:
        """Return a secret. Raises ValueError if it was sealed with another one or for another destination."""
        try:
            return self._cipher.decrypt(base64.b64decode(sealed), [destination_id.encode()]).decode()
        except InvalidTag as error:
            raise ValueError(f"the secret of webhook {destination_id} cannot be opened") from error


class WebhookStore:
    """One connection to the tables. Only one thread may use it. Methods raise WebhookStorageError."""

    @classmethod
    def open(cls, place: WebhookPlace, *, seal: WebhookSeal) -> Self:
        """Open the tables; create a file that is missing. Raises WebhookStorageError."""
        return cls(open_for_operators(place), seal=seal)

    def __init__(self, tables: WebhookTables, *, seal: WebhookSeal) -> None:
        self._tables = tables
        self._is_writing = False
        self._seal = seal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._tables.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let the changes within the context be one, and let other operators wait. Methods within it join it."""
        if self._is_writing:
            yield
            return
        with self._tables.transaction():
            self._is_writing = True
            try:
                yield
            finally:
                self._is_writing = False

    def has_destinations(self) -> bool:
        """Return whether any account has a destination."""
        return bool(self._rows("SELECT 1 FROM destination LIMIT 1"))

    def list_destinations(self, account_id: str | None = None) -> list[Destination]:
        """Return the destinations of an account, or of all, oldest first."""
        return read_destinations(self._tables, self._seal, account_id=account_id)

    def get_destination(self, account_id: str, destination_id: str) -> Destination:
        """Return a destination. Raises ResourceNotFoundError."""
        for each in self.list_destinations(account_id):
            if each.destination_id == destination_id:
                return each
        raise ResourceNotFoundError(kind="webhook", name=destination_id)

    def add(self, destination: Destination, *, position: int) -> None:
        """Add a destination that gets the events after `position`. Raises ConflictError if its id is in use."""
        with self.transaction():
            if self._rows("SELECT 1 FROM destination WHERE destination_id = :id", id=destination.destination_id):
                raise ConflictError(f"webhook {destination.destination_id} exists already")
            self._put(destination)
            self._add_run(destination.destination_id, RunKind.LIVE, position=position, since_ms=destination.created_ms)

    def replace(self, destination: Destination, *, since_ms: int | None = None, position: int | None = None) -> None:
        """Replace a destination; it must exist. If it was enabled again, its events get their age from `since_ms`.

        With `position`, it continues there and not where it was.
        """
        with self.transaction():
            self._put(destination)
            if since_ms is not None:
                self._rows(
                    "UPDATE run SET since_ms = :since WHERE destination_id = :id",
                    since=since_ms,
                    id=destination.destination_id,
                )
            if position is not None:
                # A run of its own: the delivery process may be about to store the position of the old one.
                destination_id, began_ms = destination.destination_id, since_ms or destination.created_ms
                self._rows("DELETE FROM run WHERE destination_id = :id AND kind = 0", id=destination_id)
                self._rows("DELETE FROM lagging_session WHERE run_key NOT IN (SELECT run_key FROM run)")
                self._add_run(destination_id, RunKind.LIVE, position=position, since_ms=began_ms)

    def remove(self, destination_id: str) -> None:
        """Remove a destination with everything that was kept about it."""
        with self.transaction():
            self._rows(
                "DELETE FROM lagging_session WHERE run_key IN (SELECT run_key FROM run WHERE destination_id = :id)",
                id=destination_id,
            )
            for table in ("destination", "run", "delivery", "dead_letter", "test_request", "backlog"):
                self._rows(f"DELETE FROM {table} WHERE destination_id = :id", id=destination_id)  # noqa: S608 - constants

    def add_replay(
        self, destination_id: str, *, position: int, end_sequence: int, session_id: str | None, now_ms: int
    ) -> None:
        """Deliver the events after `position` up to `end_sequence` again. Raises ConflictError."""
        with self.transaction():
            self._require_room(destination_id)
            self._add_run(
                destination_id,
                RunKind.REPLAY,
                position=position,
                end_sequence=end_sequence,
                session_id=session_id,
                since_ms=now_ms,
            )

    def add_dead_letter_replay(self, destination_id: str, *, session_id: str | None, now_ms: int) -> int:
        """Deliver the dead letters again; return their number. One that is delivered is no dead letter any more."""
        with self.transaction():
            count, first, last = self._rows(
                "SELECT count(*), min(sequence), max(sequence) FROM dead_letter WHERE destination_id = :id"
                " AND session_id = coalesce(:session, session_id)",
                id=destination_id,
                session=session_id,
            )[0]
            if count:
                self._require_room(destination_id)
                self._add_run(
                    destination_id,
                    RunKind.DEAD_LETTERS,
                    position=first - 1,
                    end_sequence=last,
                    session_id=session_id,
                    since_ms=now_ms,
                )
        return int(count)

    def add_test(self, destination_id: str, *, event_id: str, now_ms: int) -> None:
        """Ask for the delivery of a test event. Raises ConflictError while MAXIMUM_WAITING_TESTS wait."""
        with self.transaction():
            rows = self._rows("SELECT count(*) FROM test_request WHERE destination_id = :id", id=destination_id)
            if rows[0][0] >= MAXIMUM_WAITING_TESTS:
                raise ConflictError(f"{MAXIMUM_WAITING_TESTS} test events wait for webhook {destination_id} already")
            self._rows(
                "INSERT INTO test_request (destination_id, event_id, requested_ms) VALUES (:id, :event, :now)",
                id=destination_id,
                event=event_id,
                now=now_ms,
            )

    def deliveries(self, destination_id: str, *, before: int | None, limit: int) -> list[DeliveryRecord]:
        """Return the newest deliveries whose keys are below `before`, newest first."""
        rows = self._rows(_DELIVERIES, id=destination_id, before=before or _NO_LIMIT, limit=limit)
        return [_record(DeliveryRecord, row) for row in rows]

    def find_delivery(self, destination_id: str, event_id: str) -> DeliveryRecord | None:
        """Return the newest delivery of an event, or None."""
        found = self.deliveries(destination_id, before=None, limit=1_000)
        return next((each for each in found if each.event_id == event_id), None)

    def dead_letters(self, destination_id: str, *, after: int, limit: int) -> list[DeadLetter]:
        """Return the dead letters after a sequence number, oldest first."""
        return [
            _record(DeadLetter, row) for row in self._rows(_DEAD_LETTERS, id=destination_id, after=after, limit=limit)
        ]

    def backlogs(self) -> dict[str, Backlog]:
        """Return the backlogs of all destinations, by their ids, as they were when something was last delivered."""
        return {row[0]: _record(Backlog, row) for row in self._rows(_BACKLOGS)}

    def position(self, destination_id: str) -> int:
        """Return the position of the live run: all events up to it are finished, except those of sessions that lag."""
        rows = self._rows("SELECT position FROM run WHERE destination_id = :id AND kind = 0", id=destination_id)
        return int(rows[0][0]) if rows else 0

    def _put(self, destination: Destination) -> None:
        sealed = tuple(self._seal.seal(each, destination_id=destination.destination_id) for each in destination.secrets)
        self._rows(
            "INSERT INTO destination VALUES (:id, :account, :document, :created)"
            " ON CONFLICT (destination_id) DO UPDATE SET document = excluded.document",
            id=destination.destination_id,
            account=destination.account_id,
            document=msgspec.json.encode(msgspec.structs.replace(destination, secrets=sealed)).decode(),
            created=destination.created_ms,
        )

    def _require_room(self, destination_id: str) -> None:
        rows = self._rows("SELECT count(*) FROM run WHERE destination_id = :id AND kind != 0", id=destination_id)
        if rows[0][0] >= MAXIMUM_REPLAYS:
            raise ConflictError(f"webhook {destination_id} has {MAXIMUM_REPLAYS} replays: wait until one is complete")

    def _add_run(
        self,
        destination_id: str,
        kind: RunKind,
        *,
        position: int,
        since_ms: int,
        end_sequence: int | None = None,
        session_id: str | None = None,
    ) -> None:
        self._rows(
            "INSERT INTO run (destination_id, kind, position, end_sequence, session_id, since_ms)"
            " VALUES (:id, :kind, :position, :end, :session, :since)",
            id=destination_id,
            kind=int(kind),
            position=position,
            end=end_sequence,
            session=session_id,
            since=since_ms,
        )

    def _rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - stored values
        return self._tables.rows(statement, parameters)


def read_destinations(tables: WebhookTables, seal: WebhookSeal, *, account_id: str | None = None) -> list[Destination]:
    """Return the destinations with their secrets opened. Raises WebhookStorageError."""
    try:
        rows = tables.rows(
            "SELECT document FROM destination WHERE account_id = coalesce(?, account_id)"
            " ORDER BY created_ms, destination_id",
            (account_id,),
        )
        return [_opened(msgspec.json.decode(str(row[0]), type=Destination), seal) for row in rows]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WebhookStorageError(f"{tables.place} cannot be used: {error}") from error


def _opened(stored: Destination, seal: WebhookSeal) -> Destination:
    try:
        secrets = tuple(seal.open(each, destination_id=stored.destination_id) for each in stored.secrets)
    except ValueError:
        return msgspec.structs.replace(stored, secrets=(), disabled_reason=UNREADABLE_SECRET)
    return msgspec.structs.replace(stored, secrets=secrets)


def _record(kind: type[Any], row: Sequence[Any]) -> Any:  # noqa: ANN401 - a value of `kind`
    """Return a row as a record whose members are the columns in their order. SQLite has no booleans."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind, strict=False)

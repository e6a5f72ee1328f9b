"""What can be read about the deliveries of a destination: its history, its dead letters, its runs and its backlog."""

import msgspec

from stagebook.webhooks.webhook_file import DeliveryOrigin, RunKind


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery of one event by one run. `key` is its position in the history. Times are in milliseconds.

    `state` is a DeliveryState. `next_ms` is the time of the next attempt, if there is one.
    """

    key: int
    event_id: str
    name: str
    session_id: str
    origin: DeliveryOrigin
    state: str
    attempts: int
    status: int | None
    error: str | None
    first_ms: int
    last_ms: int
    next_ms: int | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was given up."""

    sequence: int
    event_id: str
    name: str
    session_id: str
    attempts: int
    status: int | None
    error: str
    died_ms: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over the book for one destination (`webhook_file`).

    It ends at `end_sequence`, and delivers the events of `session_id` only, if they are given. `since_ms` is when it
    began: no event is older than that for the maximum age.
    """

    key: int
    destination_id: str
    kind: RunKind
    position: int
    end_sequence: int | None
    session_id: str | None
    since_ms: int


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination has not got yet, and what has become of the rest since it was made.

    `pending` events wait; if `is_complete` is false, there are more in the book that have not been counted. The oldest
    one has the sequence number `oldest_sequence`.
    """

    destination_id: str
    pending: int = 0
    is_complete: bool = True
    oldest_sequence: int | None = None
    blocked_sessions: int = 0
    delivered: int = 0
    failed_attempts: int = 0
    dead: int = 0

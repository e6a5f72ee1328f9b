"""The JSON of webhooks: destinations, deliveries and dead letters."""

from typing import Annotated

import msgspec

from stagebook.book.changes import sequence_time_ms
from stagebook.stage.timestamps import iso8601
from stagebook.webhooks.delivery_records import Backlog, DeadLetter, DeliveryRecord
from stagebook.webhooks.destination import DeliveryFilter, DeliveryFormat, Destination, DestinationKind
from stagebook.webhooks.webhook_service import KEPT_SECRET_SECONDS, MAXIMUM_KEPT_SECRET_SECONDS


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class BacklogDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a destination has not got yet, and what has become of the rest. If `isComplete` is false, more wait."""

    pending_events: int
    is_complete: bool
    oldest_event_time: str | None
    blocked_sessions: int
    delivered: int
    failed_attempts: int
    dead_letters: int


class WebhookDocument(_Document, frozen=True, kw_only=True):
    """A destination. Its `secret` is shown when it is made or rotated, and never again."""

    id: str
    name: str = ""
    kind: DestinationKind
    target: str
    format: DeliveryFormat
    filter: DeliveryFilter
    region: str | None = None
    endpoint_url: str | None = None
    managed: str
    enabled: bool
    disabled_reason: str | None = None
    created_at: str
    backlog: BacklogDocument | None = None
    secret: str | None = None


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """All destinations of the account."""

    webhooks: tuple[WebhookDocument, ...]


class DeliveryDocument(_Document, frozen=True, kw_only=True):
    """The delivery of one event. `origin` is `live`, `replay` or `test`, `state` `delivered`, `retrying` or `dead`."""

    event_id: str
    name: str
    session_id: str = ""
    origin: str
    state: str
    attempts: int
    status: int | None = None
    error: str | None = None
    first_attempt_at: str
    last_attempt_at: str
    next_attempt_at: str | None = None


class DeliveryPage(_Document, frozen=True, kw_only=True):
    """A page of the delivery history, newest first."""

    deliveries: tuple[DeliveryDocument, ...]
    next_cursor: str | None = None


class DeadLetterDocument(_Document, frozen=True, kw_only=True):
    """An event that was given up."""

    event_id: str
    sequence: str
    name: str
    session_id: str
    attempts: int
    status: int | None = None
    error: str = ""
    given_up_at: str


class DeadLetterPage(_Document, frozen=True, kw_only=True):
    """A page of dead letters, oldest first."""

    dead_letters: tuple[DeadLetterDocument, ...]
    next_cursor: str | None = None


class PageParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    cursor: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}$")] | None = None


class EnableBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Where a destination continues: where it was, or at `now`, an event id or a time."""

    start_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How long the previous secret also signs."""

    keep_previous_seconds: Annotated[int, msgspec.Meta(ge=0, le=MAXIMUM_KEPT_SECRET_SECONDS)] = KEPT_SECRET_SECONDS


class NoMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body without members."""


class ReplayDocument(_Document, frozen=True, kw_only=True):
    """A replay that has begun. `deadLetters` is their number, if they are delivered again."""

    webhook_id: str
    dead_letters: int | None = None


class SampleDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A test event that is being delivered: the history shows what became of it."""

    webhook_id: str
    event_id: str


def webhook_document(
    destination: Destination, *, backlog: Backlog | None = None, shows_secret: bool = False
) -> WebhookDocument:
    """Return the document of a destination."""
    return WebhookDocument(
        id=destination.destination_id,
        name=destination.name,
        kind=destination.kind,
        target=destination.target,
        format=destination.format,
        filter=destination.filter,
        region=destination.region,
        endpoint_url=destination.endpoint_url,
        managed="settings" if destination.is_managed else "api",
        enabled=destination.is_enabled,
        disabled_reason=destination.disabled_reason,
        created_at=iso8601(destination.created_ms),
        backlog=None if backlog is None else _backlog_document(backlog),
        secret=destination.secrets[0] if shows_secret and destination.secrets else None,
    )


def _backlog_document(backlog: Backlog) -> BacklogDocument:
    oldest = backlog.oldest_sequence
    return BacklogDocument(
        pending_events=backlog.pending,
        is_complete=backlog.is_complete,
        oldest_event_time=None if oldest is None else iso8601(sequence_time_ms(oldest)),
        blocked_sessions=backlog.blocked_sessions,
        delivered=backlog.delivered,
        failed_attempts=backlog.failed_attempts,
        dead_letters=backlog.dead,
    )


def delivery_document(record: DeliveryRecord) -> DeliveryDocument:
    """Return the document of a delivery."""
    return DeliveryDocument(
        event_id=record.event_id,
        name=record.name,
        session_id=record.session_id,
        origin=record.origin.value,
        state=record.state,
        attempts=record.attempts,
        status=record.status,
        error=record.error,
        first_attempt_at=iso8601(record.first_ms),
        last_attempt_at=iso8601(record.last_ms),
        next_attempt_at=None if record.next_ms is None else iso8601(record.next_ms),
    )


def dead_letter_document(letter: DeadLetter) -> DeadLetterDocument:
    """Return the document of a dead letter."""
    return DeadLetterDocument(
        event_id=letter.event_id,
        sequence=str(letter.sequence),
        name=letter.name,
        session_id=letter.session_id,
        attempts=letter.attempts,
        status=letter.status,
        error=letter.error,
        given_up_at=iso8601(letter.died_ms),
    )

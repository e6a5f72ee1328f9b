"""What an operator can do with webhooks. The API and the command line call it, so both have the same rules and bounds.

Each method opens the tables, does one thing, and closes them; none may be called on the event loop of the server.
"""

import base64
import importlib.util
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from stagebook.book.book_source import BookSource
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.event_id import sequence_of_event
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ConflictError, InvalidInputError, ServiceQuotaExceededError
from stagebook.stage.timestamps import epoch_ms
from stagebook.webhooks.destination import (
    SECRET_PREFIX,
    DeliveryFilter,
    DeliveryFormat,
    Destination,
    DestinationKind,
    DestinationName,
    secret_key,
)
from stagebook.webhooks.event_source import book_position
from stagebook.webhooks.webhook_place import webhook_place
from stagebook.webhooks.webhook_store import WebhookSeal, WebhookStore

MAXIMUM_DESTINATIONS: Final = 50
"""The destinations of one account."""
SECRET_SIZE_BYTES: Final = 32
KEPT_SECRET_SECONDS: Final = 86_400
"""How long the previous secret also signs, unless the caller says otherwise."""
MAXIMUM_KEPT_SECRET_SECONDS: Final = 30 * 86_400
START_NOW: Final = "now"
BY_OPERATOR: Final = "disabled by an operator"
SETTINGS_PREFIX: Final = "settings-"
_ID_SIZE_BYTES = 10
_ROUNDING_UP = timedelta(microseconds=999)
_Text = Annotated[str, msgspec.Meta(max_length=2_048)]


class NewDestination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The members of a destination that an operator makes.

    `start_at` is the first event that it gets: `now`, the id of an event, or a time in ISO 8601. Without a `secret`,
    one is generated for an HTTP endpoint.
    """

    target: _Text
    kind: DestinationKind = DestinationKind.HTTP
    name: DestinationName | None = None
    format: DeliveryFormat = DeliveryFormat.EVENTBRIDGE
    filter: DeliveryFilter = DeliveryFilter()
    region: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9-]{1,32}\Z")] | None = None
    endpoint_url: _Text | None = None
    secret: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    start_at: Annotated[str, msgspec.Meta(max_length=64)] = START_NOW


class DestinationPatch(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """The members of a destination that may change. Those that are left out stay."""

    target: _Text | msgspec.UnsetType = msgspec.UNSET
    name: DestinationName | msgspec.UnsetType = msgspec.UNSET
    format: DeliveryFormat | msgspec.UnsetType = msgspec.UNSET
    filter: DeliveryFilter | msgspec.UnsetType = msgspec.UNSET


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is to be delivered again: the events since `start_at`, or the dead letters; of one session, or of all."""

    start_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    dead_letters: bool = False
    session: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class WebhookService:
    """The operations on the webhooks of one book."""

    def __init__(
        self,
        *,
        source: BookSource,
        file_path: Path,
        secret: bytes,
        randomness: Randomness,
        now_ms: Callable[[], int],
        event_now_ms: Callable[[], int] | None = None,
    ) -> None:
        """`event_now_ms` is the time of new events, by default `now_ms`. A testing server moves it."""
        self._source = source
        self._place = webhook_place(source, file_path=file_path)
        self._seal = WebhookSeal(secret)
        self._randomness = randomness
        self._now_ms = now_ms
        self._event_now_ms = event_now_ms or now_ms

    def open_store(self) -> WebhookStore:
        """Open the tables, for reads. The caller closes them."""
        return WebhookStore.open(self._place, seal=self._seal)

    def create(self, account_id: str, new: NewDestination) -> Destination:
        """Make a destination and return it with its secret, which is not shown again.

        Raises InvalidInputError, and ServiceQuotaExceededError above MAXIMUM_DESTINATIONS.
        """
        destination = self._destination(f"wh_{_letters(self._randomness)}", account_id, new)
        position = self._position_before(new.start_at, account_id)
        with self.open_store() as store:
            if len(store.list_destinations(account_id)) >= MAXIMUM_DESTINATIONS:
                raise ServiceQuotaExceededError(quota="webhooks of the account", maximum=MAXIMUM_DESTINATIONS)
            store.add(destination, position=position)
        return destination

    def check(self, account_id: str, new: NewDestination) -> None:
        """Raise InvalidInputError unless this destination can be made."""
        self._destination("", account_id, new)

    def use_settings(self, account_id: str, configured: Sequence[NewDestination]) -> None:
        """Make, change and remove destinations, so that those of the settings are these. Each must have a name.

        Raises InvalidInputError.
        """
        wanted = {
            each.destination_id: (each, new)
            for new in configured
            for each in [self._destination(f"{SETTINGS_PREFIX}{new.name}", account_id, new, is_managed=True)]
        }
        # One transaction: several nodes may start at once.
        with self.open_store() as store, store.transaction():
            existing = {each.destination_id: each for each in store.list_destinations() if each.is_managed}
            for destination_id in existing.keys() - wanted.keys():
                store.remove(destination_id)
            for destination_id, (each, new) in wanted.items():
                if (old := existing.get(destination_id)) is None:
                    store.add(each, position=self._position_before(new.start_at, account_id))
                    continue
                # A generated secret, and what the receiver or an operator has disabled, stay.
                kept: dict[str, Any] = {
                    name: getattr(old, name) for name in ("created_ms", "revision", "disabled_reason")
                }
                if new.secret is None:
                    kept["secrets"] = old.secrets
                same = msgspec.structs.replace(each, **kept)
                if same != old:
                    store.replace(msgspec.structs.replace(same, revision=old.revision + 1))

    def change(self, account_id: str, destination_id: str, patch: DestinationPatch) -> Destination:
        """Change a destination. Raises InvalidInputError, ConflictError, ResourceNotFoundError."""
        members = {
            name: value
            for name in patch.__struct_fields__
            if not isinstance(value := getattr(patch, name), msgspec.UnsetType)
        }
        with self.open_store() as store:
            changed = self._changed(self._own(store, account_id, destination_id), **members)
            changed.check()
            store.replace(changed)
        return changed

    def rotate_secret(self, account_id: str, destination_id: str, *, keep_seconds: int) -> Destination:
        """Give a destination a new secret. The previous one signs as well for `keep_seconds`.

        Raises ResourceNotFoundError, and ConflictError for a destination of the settings or one without a secret.
        """
        with self.open_store() as store:
            old = self._own(store, account_id, destination_id)
            if old.kind is not DestinationKind.HTTP:
                raise ConflictError("only HTTP endpoints have a secret")
            changed = self._changed(
                old,
                secrets=(self._new_secret(), *old.secrets[:1]),
                previous_secret_until_ms=self._now_ms() + keep_seconds * 1_000,
                # A secret that could not be opened has disabled it.
                disabled_reason=old.disabled_reason if old.secrets else None,
            )
            store.replace(changed)
        return changed

    def enable(self, account_id: str, destination_id: str, *, start_at: str | None = None) -> Destination:
        """Enable a destination. It continues where it was, or at `start_at`.

        Raises InvalidInputError and ResourceNotFoundError.
        """
        position = None if start_at is None else self._position_before(start_at, account_id)
        with self.open_store() as store:
            old = store.get_destination(account_id, destination_id)
            changed = self._changed(old, disabled_reason=None)
            store.replace(changed, since_ms=self._now_ms(), position=position)
        return changed

    def disable(self, account_id: str, destination_id: str) -> Destination:
        """Disable a destination. Nothing is lost: its events wait in the book until it is enabled.

        Raises ResourceNotFoundError.
        """
        with self.open_store() as store:
            old = store.get_destination(account_id, destination_id)
            changed = self._changed(old, disabled_reason=old.disabled_reason or BY_OPERATOR)
            store.replace(changed)
        return changed

    def remove(self, account_id: str, destination_id: str) -> None:
        """Remove a destination with its history and its dead letters.

        Raises ResourceNotFoundError, and ConflictError for one of the settings.
        """
        with self.open_store() as store:
            store.remove(self._own(store, account_id, destination_id).destination_id)

    def replay(self, account_id: str, destination_id: str, request: ReplayRequest) -> int | None:
        """Deliver events again; return the number of dead letters, or None for a replay from an event or a time.

        Raises InvalidInputError and ResourceNotFoundError, and ConflictError with too many replays.
        """
        if (request.start_at is None) != request.dead_letters:
            raise InvalidInputError(member="startAt", rule="give either `startAt` or `deadLetters`")
        now_ms = self._now_ms()
        with self.open_store() as store:
            store.get_destination(account_id, destination_id)
            if request.start_at is None:
                return store.add_dead_letter_replay(destination_id, session_id=request.session, now_ms=now_ms)
            store.add_replay(
                destination_id,
                position=self._position_before(request.start_at, account_id),
                end_sequence=self._last_sequence(account_id),
                session_id=request.session,
                now_ms=now_ms,
            )
        return None

    def send_test(self, account_id: str, destination_id: str) -> str:
        """Ask for the delivery of a test event; return the id under which the history shows what became of it.

        Raises ResourceNotFoundError, and ConflictError with too many waiting tests.
        """
        event_id = f"test_{_letters(self._randomness)}"
        with self.open_store() as store:
            store.get_destination(account_id, destination_id)
            store.add_test(destination_id, event_id=event_id, now_ms=self._now_ms())
        return event_id

    def _destination(
        self, destination_id: str, account_id: str, new: NewDestination, *, is_managed: bool = False
    ) -> Destination:
        secrets: tuple[str, ...] = ()
        if new.kind is DestinationKind.HTTP:
            secrets = (self._new_secret() if new.secret is None else new.secret,)
            secret_key(secrets[0])
        elif new.secret is not None:
            raise InvalidInputError(member="secret", rule="is for HTTP endpoints only")
        elif importlib.util.find_spec("boto3") is None:
            raise InvalidInputError(member="kind", rule="needs boto3: run `pip install 'stagebook[aws]'`")
        destination = Destination(
            destination_id=destination_id,
            account_id=account_id,
            name=new.name or "",
            kind=new.kind,
            target=new.target,
            format=new.format,
            filter=new.filter,
            region=new.region,
            endpoint_url=new.endpoint_url,
            secrets=secrets,
            is_managed=is_managed,
            created_ms=self._now_ms(),
        )
        destination.check()
        return destination

    def _own(self, store: WebhookStore, account_id: str, destination_id: str) -> Destination:
        """Return a destination that may be changed. Raises ConflictError for one of the settings."""
        destination = store.get_destination(account_id, destination_id)
        if destination.is_managed:
            raise ConflictError(f"webhook {destination_id} is defined in the settings: change it there")
        return destination

    def _changed(self, old: Destination, **members: object) -> Destination:
        return msgspec.structs.replace(old, revision=old.revision + 1, **members)

    def _new_secret(self) -> str:
        return SECRET_PREFIX + base64.b64encode(self._randomness.token_bytes(SECRET_SIZE_BYTES)).decode("ascii")

    def _position_before(self, start_at: str, account_id: str) -> int:
        """Return the position before the event that `start_at` names: `now`, an event id, or a time."""
        if start_at == START_NOW:
            return self._last_sequence(account_id)
        try:
            return sequence_of_event(start_at) - 1
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(start_at)
            if moment.tzinfo is None:
                raise ValueError("no time zone")
            time_ms = epoch_ms(moment + _ROUNDING_UP)
        except (ValueError, OverflowError):
            raise InvalidInputError(
                member="startAt", rule="must be `now`, the id of an event, or a time such as 2026-11-28T18:00:00Z"
            ) from None
        return max(min(time_ms, self._event_now_ms() + 1) << SEQUENCE_TIME_SHIFT, 1) - 1

    def _last_sequence(self, account_id: str) -> int:
        return book_position(self._source, account_id)


def _letters(randomness: Randomness) -> str:
    return base64.b32encode(randomness.token_bytes(_ID_SIZE_BYTES)).decode("ascii").lower()

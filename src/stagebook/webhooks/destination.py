"""A destination: where webhooks go, which events it gets, and in which form.

A destination is made by the API, by the command line or in the settings. Each belongs to an account and gets events of
that account only.
"""

import base64
import binascii
import re
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from stagebook.history.event_query import (
    EVENT_LOG_ERRORS,
    EVENT_LOG_NAMES,
    EventFilter,
    EventLogCause,
    EventLogName,
    chosen_events,
)
from stagebook.stage.errors import InvalidInputError

MAXIMUM_TARGET_LENGTH: Final = 2_048
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the public prefix of all secrets
SECRET_SIZES_BYTES: Final = (24, 64)
"""The smallest and the largest secret (Standard Webhooks 1.0, "Signature scheme")."""

_BUS = re.compile(r"(arn:aws[\w-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[/.\-_A-Za-z0-9]{1,256}")
_TOPIC = re.compile(r"arn:aws[\w-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]{1,256}(\.fifo)?")

DestinationName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z")]
_Text = Annotated[str, msgspec.Meta(max_length=256)]


class DestinationKind(StrEnum):
    """What receives the events."""

    HTTP = "http"
    EVENTBRIDGE = "eventbridge"
    SNS = "sns"
    SQS = "sqs"


class DeliveryFormat(StrEnum):
    """The form of a message: EventBridge's envelope, or CloudEvents 1.0 in structured JSON mode."""

    EVENTBRIDGE = "eventbridge"
    CLOUDEVENTS = "cloudevents"


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events a destination gets: those that match every member. The names are the parameters of a search."""

    stage: _Text | None = None
    session: _Text | None = None
    participant: _Text | None = None
    user: _Text | None = None
    name: Annotated[tuple[EventLogName, ...], msgspec.Meta(max_length=len(EVENT_LOG_NAMES))] = ()
    error: _Text | None = None
    cause: EventLogCause | None = None

    def of_account(self, account_id: str) -> EventFilter:
        """Return the filter of events of this account. Raises InvalidInputError for an unknown error code."""
        if self.error is not None and self.error not in EVENT_LOG_ERRORS:
            raise InvalidInputError(member="filter.error", rule="must be an error code or `any`")
        return EventFilter(
            account_id=account_id,
            stage_arn=self.stage,
            session_id=self.session,
            participant_id=self.participant,
            user_id=self.user,
            **chosen_events(names=self.name, error=self.error, cause=self.cause),
        )


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One destination.

    `target` is the URL of an HTTP endpoint or of an SQS queue, the ARN of an SNS topic, or the name or ARN of an event
    bus. `secrets` sign the messages to an HTTP endpoint, newest first. While a secret is being replaced there are two,
    and the second one is used until `previous_secret_until_ms`. `region` and `endpoint_url` are those of an AWS
    service; without them, boto3's own configuration applies. `is_managed` is true if the settings define it.
    `disabled_reason` is None while it is enabled. `revision` grows with each change.
    """

    destination_id: str
    account_id: str
    name: str = ""
    kind: DestinationKind = DestinationKind.HTTP
    target: str
    format: DeliveryFormat = DeliveryFormat.EVENTBRIDGE
    filter: DeliveryFilter = DeliveryFilter()
    region: str | None = None
    endpoint_url: str | None = None
    secrets: tuple[str, ...] = ()
    previous_secret_until_ms: int = 0
    is_managed: bool = False
    disabled_reason: str | None = None
    created_ms: int
    revision: int = 1

    def __repr__(self) -> str:
        return f"Destination({self.destination_id!r}, kind={self.kind.value!r})"

    @property
    def is_enabled(self) -> bool:
        """Whether events are delivered to it."""
        return self.disabled_reason is None

    def signing_secrets(self, now_ms: int) -> tuple[str, ...]:
        """Return the secrets with which a message is signed now."""
        return self.secrets if now_ms < self.previous_secret_until_ms else self.secrets[:1]

    def check(self) -> None:
        """Raise InvalidInputError, with the member and the rule, unless the members fit together."""
        if len(self.target) > MAXIMUM_TARGET_LENGTH:
            raise InvalidInputError(member="target", rule=f"may have at most {MAXIMUM_TARGET_LENGTH} characters")
        match self.kind:
            case DestinationKind.HTTP | DestinationKind.SQS:
                _check_url(self.target, member="target")
            case DestinationKind.EVENTBRIDGE:
                if not _BUS.fullmatch(self.target):
                    raise InvalidInputError(member="target", rule="must be the name or the ARN of an event bus")
                if self.format is not DeliveryFormat.EVENTBRIDGE:
                    raise InvalidInputError(member="format", rule="must be `eventbridge` for an event bus")
            case DestinationKind.SNS:
                if not _TOPIC.fullmatch(self.target):
                    raise InvalidInputError(member="target", rule="must be the ARN of an SNS topic")
        if self.kind is DestinationKind.HTTP:
            self._check_http()
        elif self.endpoint_url is not None:
            _check_url(self.endpoint_url, member="endpointUrl")
        self.filter.of_account(self.account_id)

    def _check_http(self) -> None:
        for member, value in (("region", self.region), ("endpointUrl", self.endpoint_url)):
            if value is not None:
                raise InvalidInputError(member=member, rule="is for AWS services only")
        for secret in self.secrets:
            secret_key(secret)


def secret_key(secret: str) -> bytes:
    """Return the key of a `whsec_` secret. Raises InvalidInputError; its message does not contain the secret."""
    low, high = SECRET_SIZES_BYTES
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not (secret.startswith(SECRET_PREFIX) and low <= len(key) <= high):
        raise InvalidInputError(
            member="secret", rule=f"must be `{SECRET_PREFIX}` and the base64 form of {low} to {high} bytes"
        )
    return key


def _check_url(url: str, *, member: str) -> None:
    """Raise InvalidInputError unless this is an http or https URL with a host, without user name and fragment."""
    try:
        parts = urlsplit(url)
        # The port is parsed when the attribute is read.
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or any(letter <= " " or letter == "\x7f" for letter in url):
        raise InvalidInputError(member=member, rule="must be an http or https URL with a host")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise InvalidInputError(member=member, rule="must have no user name: requests are signed instead")
    if parts.fragment:
        raise InvalidInputError(member=member, rule="must have no fragment")

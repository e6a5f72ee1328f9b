"""The bodies of the requests about participants and encoders without media, and of their responses."""

from typing import Annotated

import msgspec

from stagebook.api.testing.participants.peer_services import conflict
from stagebook.api.testing.participants.recording_failures import FailurePoint
from stagebook.history.event_document import EventDocument
from stagebook.stage.events import ErrorCode, RecordingErrorCode
from stagebook.stage.resources import Capability, ClientInfo, IngestProtocol, ParticipantState

Name = Annotated[str, msgspec.Meta(max_length=128)]
ParticipantId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[a-zA-Z0-9-_]+$")]
ClientName = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[a-zA-Z0-9\-_.,: ;]*$")]
"""A member of GetParticipant that describes the client."""


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request body with the member names of JSON."""


class ClientBody(Body, frozen=True, kw_only=True):
    """The client software that the participant shows, as GetParticipant returns it."""

    isp_name: ClientName = ""
    os_name: ClientName = ""
    os_version: ClientName = ""
    browser_name: ClientName = "Stagebook"
    browser_version: ClientName = ""
    sdk_version: ClientName = ""


class NewParticipant(Body, frozen=True, kw_only=True):
    """A participant: with a `token` of its own, or for a stage with the members of a new token.

    It sends `connection_token` beside its token, if it has one.
    """

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=12_288)] | None = None
    connection_token: Annotated[str, msgspec.Meta(min_length=1, max_length=12_288)] | None = None
    stage_arn: Name | None = None
    participant_id: ParticipantId | None = None
    user_id: Name | None = None
    attributes: dict[str, str] | None = None
    capabilities: tuple[Capability, ...] | None = None
    duration_minutes: Annotated[int, msgspec.Meta(ge=1, le=20_160)] | None = None
    client: ClientBody = ClientBody()


class NewEncoder(Body, frozen=True, kw_only=True):
    """An encoder: with a `stream_key`, or for a stage, for which an ingest configuration is made."""

    stream_key: Name | None = None
    stage_arn: Name | None = None
    user_id: Name = ""
    attributes: dict[str, str] = {}
    insecure_ingest: bool | None = None
    """Whether the new ingest configuration allows RTMP; by default if this encoder sends RTMP."""
    protocol: IngestProtocol = IngestProtocol.RTMPS


class PublisherBody(Body, frozen=True, kw_only=True):
    """Whom a subscription is about: the participant id of a publisher."""

    to: ParticipantId


class Failure(Body, frozen=True, kw_only=True):
    """The error code to cause."""

    error_code: ErrorCode


class SubscribeFailure(Failure, frozen=True, kw_only=True):
    """The error code to cause. Without `to` it is about a publisher that does not exist."""

    to: ParticipantId | None = None


class RecordingFailure(Body, frozen=True, kw_only=True):
    """The error code of a recording to cause, and when: by default at the end of a recording that runs."""

    error_code: RecordingErrorCode
    at: FailurePoint | None = None


class MuteBody(Body, frozen=True, kw_only=True):
    """What the participant says about its media. A member that is left out stays as it is."""

    audio_muted: bool | None = None
    video_stopped: bool | None = None


class ExchangeBody(Body, frozen=True, kw_only=True):
    """The new token, or what differs in it: then the server signs one."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=12_288)] | None = None
    capabilities: tuple[Capability, ...] | None = None
    attributes: dict[str, str] | None = None
    user_id: Name | None = None
    duration_minutes: Annotated[int, msgspec.Meta(ge=1, le=20_160)] | None = None


class PeerDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A participant or an encoder without media, and what it is doing.

    `id` names it in this API. `session_id` is the session of its newest event, and `left_cause` the cause of its
    newest LEFT, while it is not on the stage. `events` are those that the action of the request has made, oldest
    first.
    """

    id: str
    participant_id: str
    stage_arn: str
    user_id: str
    attributes: dict[str, str]
    state: ParticipantState
    is_publishing: bool
    session_id: str | None = None
    left_cause: str | None = None
    events: tuple[EventDocument, ...] = ()


class PeerEventsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The events of a participant or an encoder in the session of its newest one: the newest 1,000, oldest first."""

    events: tuple[EventDocument, ...]


class ParticipantDocument(PeerDocument, frozen=True, kw_only=True):
    """A participant. `has_joined`: its events websocket is open; `subscribed_to` are the publishers that it watches."""

    token: str
    expiration_time: str
    capabilities: tuple[Capability, ...]
    has_joined: bool
    subscribed_to: tuple[str, ...]


class EncoderDocument(PeerDocument, frozen=True, kw_only=True):
    """An encoder."""

    stream_key: str
    ingest_configuration_arn: str
    protocol: IngestProtocol


def client_of(body: ClientBody) -> ClientInfo:
    """Return the client software of a participant."""
    return ClientInfo(
        isp_name=body.isp_name,
        os_name=body.os_name,
        os_version=body.os_version,
        browser_name=body.browser_name,
        browser_version=body.browser_version,
        sdk_version=body.sdk_version,
    )


def require_event(body: object, events: tuple[EventDocument, ...]) -> None:
    """Raise ApiRefusedError 409 if a request for an error has not made its event.

    The server records ten refusals a minute with one error code of an ingest configuration.
    """
    if isinstance(body, Failure) and not any(event.error_code == body.error_code.value for event in events):
        raise conflict(f"{body.error_code.value}: the server has refused the attempt and recorded no event of it")
    if isinstance(body, RecordingFailure) and not any(_has_code(event, body.error_code) for event in events):
        raise conflict(
            f"{body.error_code.value}: no recording of this publisher has started or runs: see the stage's "
            "autoParticipantRecordingConfiguration"
        )


def _has_code(event: EventDocument, code: RecordingErrorCode) -> bool:
    return event.recording is not None and event.recording.error_code == code.value

"""The records that the book stores besides events.

These are stages, their sessions, the participants of each session and their replications, and the resources with an
ARN of their own: public keys, and ingest, encoder and storage configurations.

The members have the meaning of the shapes with the same names in the `ivs-realtime` model. The form differs: names are
Python's, times are milliseconds since the Unix epoch, and None stands for an absent member. The APIs convert them.
"""

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec


class ParticipantState(StrEnum):
    """Shape ParticipantState."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"


class ParticipantProtocol(StrEnum):
    """Shape ParticipantProtocol: how a participant publishes. UNKNOWN until its first publication starts."""

    UNKNOWN = "UNKNOWN"
    WHIP = "WHIP"
    RTMP = "RTMP"
    RTMPS = "RTMPS"


class ReplicationType(StrEnum):
    """Shape ReplicationType."""

    SOURCE = "SOURCE"
    REPLICA = "REPLICA"
    NONE = "NONE"


class ReplicationState(StrEnum):
    """Shape ReplicationState."""

    ACTIVE = "ACTIVE"
    STOPPED = "STOPPED"


class RecordingState(StrEnum):
    """Shape ParticipantRecordingState. DISABLED: the participant was not recorded in this session."""

    STARTING = "STARTING"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    DISABLED = "DISABLED"


class Capability(StrEnum):
    """Shape ParticipantTokenCapability."""

    PUBLISH = "PUBLISH"
    SUBSCRIBE = "SUBSCRIBE"


class ClientInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The client software of a participant. Each string has at most 128 of `[a-zA-Z0-9-_.,:;\\s]`; empty if unknown."""

    isp_name: str = ""
    os_name: str = ""
    os_version: str = ""
    browser_name: str = ""
    browser_version: str = ""
    sdk_version: str = ""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage.

    `recording` is its autoParticipantRecordingConfiguration as JSON, with only the members that the caller set.
    `active_session_id` is None while no session is open.
    """

    arn: str
    account_id: str
    name: str
    created_ms: int
    tags: dict[str, str] = {}
    recording: dict[str, Any] = {}
    active_session_id: str | None = None


class StageSession(msgspec.Struct, frozen=True, kw_only=True):
    """One period of activity on a stage. `end_ms` is None while it is active."""

    stage_arn: str
    session_id: str
    start_ms: int
    end_ms: int | None = None


class ParticipantRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One participant of one stage session, as GetParticipant and ListParticipants return it.

    `first_join_ms` is None while every attempt of the participant to join has failed. `published` stays true after the
    publication has ended. The source members are set for a replica only.

    The recording members are those of the participant's newest recording in this session. `PutRecording` writes them;
    `PutParticipant` leaves them as they are.
    """

    participant_id: str
    user_id: str = ""
    state: ParticipantState = ParticipantState.DISCONNECTED
    first_join_ms: int | None = None
    attributes: dict[str, str] = {}
    published: bool = False
    protocol: ParticipantProtocol = ParticipantProtocol.UNKNOWN
    client: ClientInfo = ClientInfo()
    replication_type: ReplicationType = ReplicationType.NONE
    replication_state: ReplicationState | None = None
    source_stage_arn: str | None = None
    source_session_id: str | None = None
    redundant_ingest: bool = False
    ingest_configuration_arn: str | None = None
    recording_state: RecordingState = RecordingState.DISABLED
    recording_bucket_name: str = ""
    recording_prefix: str = ""


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One replication of one participant to another stage: a row of ListParticipantReplicas.

    The five ids are the key of the row. A replication that is started again after a stop reuses the row while both
    sessions are still the same.
    """

    source_stage_arn: str
    source_session_id: str
    participant_id: str
    destination_stage_arn: str
    destination_session_id: str
    state: ReplicationState


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, tag="public-key"):
    """An imported public key that verifies self-signed tokens. `material` is the PEM string as it was imported."""

    arn: str
    account_id: str
    created_ms: int
    name: str = ""
    tags: dict[str, str] = {}
    material: str
    fingerprint: str


class IngestProtocol(StrEnum):
    """Shape IngestProtocol."""

    RTMP = "RTMP"
    RTMPS = "RTMPS"


class IngestCredential(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two credentials of a redundant ingest configuration."""

    participant_id: str
    stream_key: str


class IngestConfiguration(msgspec.Struct, frozen=True, kw_only=True, tag="ingest-configuration"):
    """The credentials of an encoder and the stage that it publishes to (user guide, "RTMP Publishing").

    `stage_arn` is empty while the configuration is not attached to a stage. Stream keys are secrets. With
    `redundant_ingest` the two `redundant_credentials` replace `stream_key`.
    """

    arn: str
    account_id: str
    created_ms: int
    name: str = ""
    tags: dict[str, str] = {}
    ingest_protocol: IngestProtocol
    insecure_ingest: bool = False
    stage_arn: str = ""
    participant_id: str
    stream_key: str
    user_id: str = ""
    attributes: dict[str, str] = {}
    redundant_ingest: bool = False
    redundant_credentials: tuple[IngestCredential, ...] = ()


class EncoderConfiguration(msgspec.Struct, frozen=True, kw_only=True, tag="encoder-configuration"):
    """The video of a composition, in pixels, frames per second and bits per second. The defaults are the model's."""

    arn: str
    account_id: str
    created_ms: int
    name: str = ""
    tags: dict[str, str] = {}
    width: int = 1_280
    height: int = 720
    framerate: float = 30.0
    bitrate_bps: int = 2_500_000


class StorageConfiguration(msgspec.Struct, frozen=True, kw_only=True, tag="storage-configuration"):
    """The S3 bucket that recordings are written to."""

    arn: str
    account_id: str
    created_ms: int
    name: str = ""
    tags: dict[str, str] = {}
    bucket_name: str


Resource: TypeAlias = PublicKey | IngestConfiguration | EncoderConfiguration | StorageConfiguration
"""The resources other than stages. The msgspec tag of each is its resource type in the ARN."""

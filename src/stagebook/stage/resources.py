"""The things the book keeps besides events: stages, their sessions, the participants of each session, replicas, and
the resources that stand beside stages (public keys, ingest, encoder and storage configurations).

Shapes follow the `ivs-realtime` model in meaning and this project's rules in form: times are milliseconds since
the epoch, absent is None. They are values; the book stores them and the doors show them.
"""

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec


class ParticipantState(StrEnum):
    """Shape ParticipantState."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"


class ParticipantProtocol(StrEnum):
    """Shape ParticipantProtocol: how a participant publishes; UNKNOWN until it has."""

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


class Capability(StrEnum):
    """Shape ParticipantTokenCapability."""

    PUBLISH = "PUBLISH"
    SUBSCRIBE = "SUBSCRIBE"


class ClientInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a participant's software says of itself; each at most 128 of `[a-zA-Z0-9-_.,:;\\s]`, empty if unknown."""

    isp_name: str = ""
    os_name: str = ""
    os_version: str = ""
    browser_name: str = ""
    browser_version: str = ""
    sdk_version: str = ""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage. `recording` is its autoParticipantRecordingConfiguration in wire form, only what the caller set."""

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
    """One participant of one stage session, as GetParticipant and ListParticipants see it.

    `first_join_ms` is None for a participant all of whose attempts to join failed.
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


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One replication of one participant to another stage: a row of ListParticipantReplicas.

    Rows of the same source, destination and sessions are the same replication; a later one after a stop is another
    row when its destination session is another.
    """

    source_stage_arn: str
    source_session_id: str
    participant_id: str
    destination_stage_arn: str
    destination_session_id: str
    state: ReplicationState


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, tag="public-key"):
    """An imported public key that verifies self-signed participant tokens. `material` is PEM, as it was given."""

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
    """How an encoder comes in. `stage_arn` is empty while it belongs to no stage. Stream keys are secrets."""

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
    """How a composition is encoded; the defaults are the model's."""

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
    """Where recordings go."""

    arn: str
    account_id: str
    created_ms: int
    name: str = ""
    tags: dict[str, str] = {}
    bucket_name: str


Resource: TypeAlias = PublicKey | IngestConfiguration | EncoderConfiguration | StorageConfiguration
"""What has an ARN beside stages. The tag is the resource type in the ARN."""

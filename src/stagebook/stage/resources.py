"""The things the book keeps besides events: stages, their sessions, and the participants of each session.

Shapes follow the `ivs-realtime` model in meaning and this project's rules in form: times are milliseconds since
the epoch, absent is None. They are values; the book stores them and the doors show them.
"""

from enum import StrEnum
from typing import Any

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


class ClientInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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

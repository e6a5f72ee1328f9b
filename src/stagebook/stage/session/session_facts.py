"""The facts of a stage session: the input of `decide`.

Three kinds: requests of participants and of API callers, which can be refused; reports of media engines; and timers
that an earlier decision set. Facts that one session forwards to another keep the two ends of a replication in step.
"""

from typing import TypeAlias

import msgspec

from stagebook.stage.claims import Claims
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.resources import ClientInfo, ParticipantRecord, Replica
from stagebook.stage.session.session_state import UNMUTED, AttemptFailure, MuteState
from stagebook.stage.source_limits import Measurement


class PublishRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant sent an offer to publish. `known` is its row if it was in this session before and has left it.

    `source_id` is a fresh id, used when the participant has no source yet.
    """

    connection_id: str
    source_id: str
    claims: Claims
    client: ClientInfo
    known: ParticipantRecord | None = None


class SubscribeRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant sent an offer to watch a publisher."""

    connection_id: str
    publisher_id: str
    claims: Claims
    client: ClientInfo
    known: ParticipantRecord | None = None


class EventsRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant opened an events websocket. `is_sole`: it is of a client that has one at a time."""

    connection_id: str
    claims: Claims
    client: ClientInfo
    is_sole: bool = False
    known: ParticipantRecord | None = None


class EncoderRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An encoder named a valid stream key. `publisher_id` is the participant that shows its stream."""

    connection_id: str
    source_id: str
    publisher_id: str
    claims: Claims
    client: ClientInfo
    known: ParticipantRecord | None = None


class AttemptRefused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The manager refused an attempt of an identified participant by a rule that is not part of the session."""

    claims: Claims
    client: ClientInfo
    failure: AttemptFailure
    code: ErrorCode
    detail: str
    known: ParticipantRecord | None = None


class AttemptAnswered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A media engine answered the offer of an attempt. A publisher sends media of the kinds that are true."""

    participant_id: str
    connection_id: str
    sends_audio: bool = True
    sends_video: bool = True


class AttemptFailed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A media engine did not answer the offer of an attempt. `code` is None if no event reports the failure."""

    participant_id: str
    connection_id: str
    code: ErrorCode | None = None
    detail: str = ""


class TransportConnected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The media transport of a connection is up. `virtual_known` is the row of the virtual participant that shows a
    redundant stream, if it was in this session before."""

    participant_id: str
    connection_id: str
    virtual_known: ParticipantRecord | None = None


class ConnectionEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A connection ended: its transport failed, its peer closed it, or the client requested it."""

    participant_id: str
    connection_id: str
    cause: Cause
    detail: str | None = None


class ConnectionFailed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A media connection ended with an error code: the stream violates a rule of its format, or the server failed."""

    participant_id: str
    connection_id: str
    code: ErrorCode
    cause: Cause = Cause.LIMIT
    detail: str | None = None


class SourceReported(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One second of a publisher's media, as the engine measured it."""

    participant_id: str
    connection_id: str
    measurement: Measurement


class DurationElapsed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A media connection has lasted as long as the quota allows (timer)."""

    participant_id: str
    connection_id: str


class LingerElapsed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The session has been empty for its linger (timer)."""


class WindowElapsed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The reconnect window of a replication has closed (timer)."""

    participant_id: str
    replication_id: str


class TokenExchangeRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant on the stage sent another token, whose claims are these."""

    participant_id: str
    claims: Claims


class MuteStateSet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant said whether its audio is muted and its video stopped. None leaves one of them as it is."""

    participant_id: str
    audio_muted: bool | None = None
    video_stopped: bool | None = None


class ParticipantsDisconnected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The API ends all connections, replications and attempts of these participants. Unknown ids are ignored."""

    participant_ids: tuple[str, ...]
    cause: Cause
    detail: str | None = None


class SessionClosed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The stage is deleted or the server stops: all participants leave and the session ends."""

    cause: Cause
    detail: str | None = None


class ReplicationRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """StartParticipantReplication, to the source session. `attributes` override those of the participant.

    `known` is the participant's row in the destination session if it was there before.
    """

    participant_id: str
    replication_id: str
    destination_stage_arn: str
    destination_session_id: str
    window_seconds: int
    attributes: dict[str, str]
    known: ParticipantRecord | None = None


class ReplicationStopRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """StopParticipantReplication, to the source session."""

    participant_id: str
    destination_stage_arn: str


class ReplicaArrived(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A replication started; to the destination session. `record` is the publisher's row, `replica` the new row of
    the replication, `source_id` the source that shows the publisher."""

    replication_id: str
    claims: Claims
    record: ParticipantRecord
    replica: Replica
    source_id: str
    mute: MuteState = UNMUTED
    known: ParticipantRecord | None = None


class ReplicaPaused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The publisher of a replica stopped and is awaited; to the destination session."""

    participant_id: str
    replication_id: str
    cause: Cause
    detail: str | None = None


class ReplicaResumed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The publisher of a replica publishes again; to the destination session."""

    participant_id: str
    replication_id: str
    source_id: str
    mute: MuteState = UNMUTED


class ReplicaMuteSet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The publisher of a replica set its mute state; to the destination session."""

    participant_id: str
    replication_id: str
    mute: MuteState


class ReplicaEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A replication ended at its source; to the destination session."""

    participant_id: str
    replication_id: str
    cause: Cause
    detail: str | None = None


class ReplicationEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A replica left its stage; to the source session."""

    participant_id: str
    replication_id: str
    cause: Cause
    detail: str | None = None


SessionFact: TypeAlias = (
    PublishRequested
    | SubscribeRequested
    | EventsRequested
    | EncoderRequested
    | AttemptRefused
    | AttemptAnswered
    | AttemptFailed
    | TransportConnected
    | ConnectionEnded
    | ConnectionFailed
    | SourceReported
    | DurationElapsed
    | LingerElapsed
    | WindowElapsed
    | TokenExchangeRequested
    | MuteStateSet
    | ParticipantsDisconnected
    | SessionClosed
    | ReplicationRequested
    | ReplicationStopRequested
    | ReplicaArrived
    | ReplicaPaused
    | ReplicaResumed
    | ReplicaMuteSet
    | ReplicaEnded
    | ReplicationEnded
)

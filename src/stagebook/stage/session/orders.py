"""Orders: what the manager must do for a decision, as data.

Write orders become rows in the same transaction as the decision's events. Orders that only change the manager's memory
(routes, timers, cancelled attempts) are carried out when the transaction is submitted, because the next decision needs
them. Orders that a client can observe (CloseConnection, EndSource, CloseEvents) wait until the transaction is durable:
no client may see the effect of an event that a crash could still lose.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from stagebook.stage.errors import StagebookError
from stagebook.stage.events import Event
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import ParticipantRecord, Replica

if TYPE_CHECKING:
    from stagebook.stage.session.session_facts import SessionFact


class FarewellReason(StrEnum):
    """Why the server closes an events websocket."""

    DISCONNECTED = "PARTICIPANT_DISCONNECTED"
    STAGE_DELETED = "STAGE_DELETED"
    SHUTDOWN = "SERVER_SHUTDOWN"
    CONNECTION_TOKEN_REVOKED = "CONNECTION_TOKEN_REVOKED"  # noqa: S105 - the name of a reason, not a secret
    TOKEN_REUSED = "TOKEN_REUSED"  # noqa: S105 - same


class ParticipantEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event and the participant that it happened to."""

    participant_id: str
    event: Event


class WriteSessionStart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Write the row of a session that opens."""

    start_ms: int


class WriteParticipant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Write the row of a participant."""

    record: ParticipantRecord


class WriteReplica(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Write the row of a replication."""

    replica: Replica


class WriteSessionEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Write the end of the session."""

    end_ms: int


class AskEngine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Let a media engine answer the offer of an attempt. The answer is reported as AttemptAnswered or AttemptFailed."""

    connection_id: str
    source_id: str


class CloseConnection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Close one connection in the engine. `detail` is the reason that is sent to an encoder."""

    connection_id: str
    detail: str = ""
    as_failure: bool = False
    """Whether the client sees its connection fail at once, because it did not ask for the end."""


class EndSource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """End a source in the engine with all of its connections. `detail` is the reason that is sent to an encoder."""

    source_id: str
    detail: str = ""


class CancelAttempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The attempt is cancelled while an engine answers it.

    When the engine has answered, the manager closes the new connection and raises `error` to the client.
    """

    connection_id: str
    error: StagebookError


class CloseEvents(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An events websocket has ended.

    `farewell` is the reason that is sent before the server closes it; None if the client closed it.
    """

    connection_id: str
    farewell: FarewellReason | None = None
    detail: str = ""


class OpenRoute(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Facts about this connection or attempt belong to this participant from now on."""

    connection_id: str
    participant_id: str
    kind: ConnectionKind
    connection_token_id: str | None = None


class CloseRoute(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The connection or attempt has ended; later facts about it are ignored."""

    connection_id: str


class SetTimer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Report `fact` at a monotonic time. A timer with the same key is replaced."""

    key: str
    due_ms: int
    fact: "SessionFact"


class CancelTimer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Forget a timer."""

    key: str


class Forward(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Apply a fact to the running session of another stage, in the same transaction."""

    stage_arn: str
    fact: "SessionFact"


Order: TypeAlias = (
    WriteSessionStart
    | WriteParticipant
    | WriteReplica
    | WriteSessionEnd
    | AskEngine
    | CloseConnection
    | EndSource
    | CancelAttempt
    | CloseEvents
    | OpenRoute
    | CloseRoute
    | SetTimer
    | CancelTimer
    | Forward
)

"""How connections end, and everything that follows on the stage.

A publication that ends takes the subscriptions of its viewers along, and pauses or ends the replications of the
publisher. The last flowing redundant stream takes the virtual participant along. A replica that leaves ends its
replication at the source. Each of these is recorded in the same decision, the ended connection first.

All of it must be one decision, and so one transaction: a SUBSCRIBE_STOPPED that a crash separates from its
PUBLISH_STOPPED would leave a viewer of a publication that has ended.
"""

from collections.abc import Iterable

import msgspec

from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.participant.participant_facts import Cut, Exchanged, Gone
from stagebook.stage.participant.participant_state import Connection, Participant
from stagebook.stage.participant.transitions import ConnectionKind, ConnectionState
from stagebook.stage.resources import ReplicationState
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import (
    CancelTimer,
    CloseConnection,
    CloseEvents,
    CloseRoute,
    FarewellReason,
    Forward,
    WriteReplica,
)
from stagebook.stage.session.rules.replicas import end_replications, ending_replications, pause_replications
from stagebook.stage.session.session_facts import ReplicationEnded
from stagebook.stage.session.session_state import SessionParticipant

FAREWELLS = {
    Cause.DISCONNECTED_BY_API: FarewellReason.DISCONNECTED,
    Cause.STAGE_DELETED: FarewellReason.STAGE_DELETED,
    Cause.SHUTDOWN: FarewellReason.SHUTDOWN,
    Cause.CONNECTION_TOKEN_REVOKED: FarewellReason.CONNECTION_TOKEN_REVOKED,
}
"""The causes after which the server closes an events websocket itself, and the reason that it gives."""


class End(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why connections end.

    With `cascade`, the end of a publication ends the subscriptions to it. Without it they stay, because the caller ends
    all participants of the session by itself, for one cause.
    """

    cause: Cause
    code: ErrorCode | None = None
    detail: str | None = None
    cascade: bool = True

    @property
    def reason(self) -> str:
        """The reason that is sent to an encoder: the error code or the farewell, and the detail."""
        return ": ".join(part for part in (self.code or FAREWELLS.get(self.cause), self.detail) if part)


def end_connections(
    draft: Draft,
    participant_id: str,
    connection_ids: Iterable[str],
    *,
    cause: Cause,
    detail: str | None = None,
    cascade: bool = True,
) -> None:
    """End connections of one participant, with everything that follows.

    `connection_ids` must exist. The replications that end with them are part of the same fact, so that their events
    come before LEFT.
    """
    participant, ids = draft.get(participant_id), tuple(connection_ids)
    after = [connection for other, connection in participant.machine.connections.items() if other not in ids]
    stops = _publication_stops(participant.machine, ids, after)
    ended = ending_replications(participant, publication_ended=stops, cause=cause)
    fact = Gone(connection_ids=ids, replication_ids=ended, cause=cause, detail=detail)
    end_by_fact(draft, participant_id, fact, End(cause=cause, detail=detail, cascade=cascade))


def cut_connection(
    draft: Draft,
    participant_id: str,
    connection_id: str,
    code: ErrorCode,
    *,
    cause: Cause = Cause.LIMIT,
    detail: str | None = None,
) -> None:
    """End a media connection with an error code, with everything that follows.

    A publication that is cut for a limit (`Cause.LIMIT`) ends its replications whatever their reconnect windows are:
    the same encoder would break the limit again.
    """
    participant = draft.get(participant_id)
    after = [connection for other, connection in participant.machine.connections.items() if other != connection_id]
    stops = _publication_stops(participant.machine, (connection_id,), after)
    ended = ending_replications(participant, publication_ended=stops, cause=cause)
    fact = Cut(connection_id=connection_id, code=code, replication_ids=ended, cause=cause, detail=detail)
    end_by_fact(draft, participant_id, fact, End(cause=cause, code=code, detail=detail))


def end_by_fact(draft: Draft, participant_id: str, fact: Gone | Cut | Exchanged, end: End) -> None:
    """Record a fact that ends connections and replications of one participant, with everything that follows.

    `fact.replication_ids` must be those that `ending_replications` returns for the same change. What follows is decided
    in this order: the participant's own events, its replications that end, the release of each connection, the
    subscriptions of its viewers, and the replications that wait.
    """
    before = draft.get(participant_id)
    after = draft.record(participant_id, fact)
    lost = {
        connection_id: connection
        for connection_id, connection in before.machine.connections.items()
        if connection_id not in after.machine.connections
    }
    # All lost connections leave the index of viewers before anything follows. A participant can watch itself: the end
    # of its publication would otherwise end a subscription that has ended in this fact already.
    for connection_id, connection in lost.items():
        _forget_connection(draft, connection_id, connection)
    # Before the remaining ones are paused below, which would give these a reconnect window.
    end_replications(draft, participant_id, fact.replication_ids, cause=end.cause, detail=end.detail)
    for connection_id, connection in lost.items():
        _release(draft, after, connection_id, connection, end)
    if _publication_stops(before.machine, lost, after.machine.connections.values()):
        end_viewers(draft, participant_id, cascade=end.cascade)
        pause_replications(draft, participant_id, cause=end.cause, detail=end.detail)


def end_viewers(draft: Draft, publisher_id: str, *, cascade: bool = True) -> None:
    """End all subscriptions to a publisher, with the cause PUBLISHER_STOPPED. Does nothing without `cascade`."""
    index = draft.viewers.get(publisher_id)
    if index is None or not cascade:
        return
    # Copied, because each end below changes the index: reading this version of it after n ends would cost n steps.
    watching = dict(index.items())
    # In order of arrival and of acceptance: the index itself has no order, and equal inputs give equal decisions.
    for viewer_id in sorted(set(watching.values()), key=lambda each: draft.get(each).arrival):
        connection_ids = [each for each in draft.get(viewer_id).machine.connections if each in watching]
        end_connections(draft, viewer_id, connection_ids, cause=Cause.PUBLISHER_STOPPED)


def _publication_stops(before: Participant, lost: Iterable[str], after: Iterable[Connection]) -> bool:
    """Return whether the publication stops with these connections.

    It stops if the flowing PUBLISH connection is among them, also when a replacement is still opening: viewers cannot
    wait for a replacement that may never connect. It stops too if no PUBLISH connection remains.
    """
    ended = [before.connections[each] for each in lost if before.connections[each].kind is ConnectionKind.PUBLISH]
    if any(connection.state is ConnectionState.FLOWING for connection in ended):
        return True
    return bool(ended) and not any(connection.kind is ConnectionKind.PUBLISH for connection in after)


def _forget_connection(draft: Draft, connection_id: str, connection: Connection) -> None:
    """Remove an ended connection from the routes, the timers and the index of viewers."""
    if connection.kind is ConnectionKind.REPLICA:
        return
    draft.order(CloseRoute(connection_id=connection_id))
    if connection.state is ConnectionState.FLOWING and connection.kind is not ConnectionKind.EVENTS:
        draft.order(CancelTimer(key=f"duration:{connection_id}"))
    publisher_id = connection.remote_participant_id
    if publisher_id is None:
        return
    watching = draft.viewers[publisher_id].remove(connection_id)
    draft.viewers = (
        draft.viewers.insert(publisher_id, watching) if len(watching) else draft.viewers.remove(publisher_id)
    )


def _release(
    draft: Draft, participant: SessionParticipant, connection_id: str, connection: Connection, end: End
) -> None:
    """Release what one ended connection used: its websocket, its connection in the engine, its source, its replica."""
    participant_id = participant.record.participant_id
    match connection.kind:
        case ConnectionKind.EVENTS:
            farewell = FAREWELLS.get(end.cause)
            draft.order(CloseEvents(connection_id=connection_id, farewell=farewell, detail=end.detail or ""))
            _forget_sole(draft, participant_id, connection_id)
        case ConnectionKind.SUBSCRIBE:
            # A publisher is closed without a failure: many clients answer one by publishing again.
            draft.order(CloseConnection(connection_id=connection_id, as_failure=_sees_failure(participant, end.cause)))
        case ConnectionKind.PUBLISH if not participant.is_virtual:
            # The engine closes all connections of a source that ends, so the last one needs no order of its own.
            if not draft.release_source(participant_id, user_id=connection_id, detail=end.reason):
                draft.order(CloseConnection(connection_id=connection_id, detail=end.reason))
        case ConnectionKind.REDUNDANT:
            draft.order(CloseConnection(connection_id=connection_id, detail=end.reason))
            if participant.virtual_id is not None:
                _stream_ended(draft, participant.virtual_id, connection_id, end)
        case ConnectionKind.REPLICA:
            _replica_left(draft, participant, connection_id, end)
        case _:
            pass


def _sees_failure(viewer: SessionParticipant, cause: Cause) -> bool:
    """Return whether a viewer sees the end of its subscription as a failure, so that it notices it at once.

    The Web Broadcast SDK, which has one events websocket at a time, subscribes again as soon as it sees a failure
    (observed on the wire with the versions 1.14.0 and 1.41.0). When its publisher has stopped, that would be refused
    and recorded as SUBSCRIBE_ERROR: the list without the publisher reaches it a moment later.
    """
    if cause is Cause.PUBLISHER_STOPPED:
        return viewer.sole_events_id is None
    return cause is not Cause.CLIENT


def _forget_sole(draft: Draft, participant_id: str, connection_id: str) -> None:
    """Note that the events websocket of a client that has one at a time has ended, if it is this one."""
    participant = draft.get(participant_id)
    if participant.sole_events_id == connection_id:
        draft.put(msgspec.structs.replace(participant, sole_events_id=None))


def _stream_ended(draft: Draft, virtual_id: str, connection_id: str, end: End) -> None:
    """End the publication of a virtual participant with the last of its streams that flows.

    A stream that is only opening keeps the source, but does not keep the publication: it may never connect.
    """
    draft.release_source(virtual_id, user_id=connection_id, detail=end.reason)
    virtual = draft.find(virtual_id)
    publication_id = None if virtual is None else virtual.machine.publication_id
    if publication_id is None:
        return
    source = draft.sources.get(virtual_id)
    streams = () if source is None else [draft.get(owner) for owner in source.users.values()]
    if not any(stream.machine.is_publishing for stream in streams):
        end_connections(draft, virtual_id, [publication_id], cause=end.cause, detail=end.detail, cascade=end.cascade)


def _replica_left(draft: Draft, participant: SessionParticipant, replication_id: str, end: End) -> None:
    """End the replication of a replica that left its stage, in the source session as well."""
    remove_replica(draft, participant, cascade=end.cascade)
    if participant.replica is not None:
        fact = ReplicationEnded(
            participant_id=participant.record.participant_id,
            replication_id=replication_id,
            cause=end.cause,
            detail=end.detail,
        )
        draft.order(Forward(stage_arn=participant.replica.source_stage_arn, fact=fact))


def remove_replica(draft: Draft, participant: SessionParticipant, *, cascade: bool = True) -> None:
    """Set the row of a replication whose replica left to STOPPED, and end the subscriptions to the replica."""
    participant_id = participant.record.participant_id
    if participant.replica is not None:
        row = msgspec.structs.replace(participant.replica, state=ReplicationState.STOPPED)
        draft.order(WriteReplica(replica=row))
    draft.sources = draft.sources.discard(participant_id)
    end_viewers(draft, participant_id, cascade=cascade)

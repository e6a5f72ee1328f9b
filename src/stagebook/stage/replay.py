"""A participant made from its events again: what an interrupted run left open is read from the book, not remembered.

The inverse of `step` in `participant.py`, as far as events tell.
"""

from stagebook.stage.events import Event, EventName, ReplicationDestination
from stagebook.stage.participant import (
    PUBLISHING_KINDS,
    Connection,
    ConnectionKind,
    ConnectionState,
    Participant,
)


def replay(events: list[Event]) -> Participant:
    """Return the participant that these events (all of one participant's, oldest first) leave behind.

    What an interrupted run left open has no ids any more; they are made up here, in order. A participant that joined
    and had nothing flowing is given the connection that makes no event, so that it counts as present. A token exchange
    left nothing open by itself: what it ended has its own *_STOPPED.
    """
    connections: dict[str, Connection] = {}
    replications: dict[str, ReplicationDestination] = {}
    joined = is_replica = False
    for number, event in enumerate(events):
        if event.name is EventName.JOINED:
            joined, is_replica = True, event.replica
        elif event.name is EventName.LEFT:
            joined, connections = False, {}
        elif event.name is EventName.PUBLISH_STARTED:
            connections[f"replayed-{number}"] = Connection(
                kind=ConnectionKind.REPLICA if is_replica else ConnectionKind.PUBLISH, state=ConnectionState.FLOWING
            )
        elif event.name is EventName.REPLICATION_STARTED and event.destination is not None:
            replications[f"replayed-{number}"] = event.destination
        elif event.name is EventName.REPLICATION_STOPPED:
            replications = {key: other for key, other in replications.items() if other != event.destination}
        elif event.name is EventName.SUBSCRIBE_STARTED:
            connections[f"replayed-{number}"] = Connection(
                kind=ConnectionKind.SUBSCRIBE,
                state=ConnectionState.FLOWING,
                remote_participant_id=event.remote_participant_id,
                remote_is_replica=event.replica,
            )
        elif event.name in (EventName.PUBLISH_STOPPED, EventName.SUBSCRIBE_STOPPED):
            _forget(connections, event)
    if joined and not connections:
        connections["replayed"] = (
            Connection(kind=ConnectionKind.REPLICA, state=ConnectionState.OPENING)
            if is_replica
            else Connection(kind=ConnectionKind.EVENTS, state=ConnectionState.FLOWING)
        )
    return Participant(connections=connections, replications=replications, is_replica=is_replica)


def _forget(connections: dict[str, Connection], stopped: Event) -> None:
    kinds = PUBLISHING_KINDS if stopped.name is EventName.PUBLISH_STOPPED else {ConnectionKind.SUBSCRIBE}
    for connection_id, connection in connections.items():
        if connection.kind in kinds and connection.remote_participant_id == stopped.remote_participant_id:
            del connections[connection_id]
            return

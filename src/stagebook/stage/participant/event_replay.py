"""Rebuilds a participant from its recorded events.

Recovery uses this to find what an interrupted run left open. It is the inverse of `participant_machine.step`, as far as
the events determine the state: connections that emit no events (events websockets, offers that never connected) are
not restored, and connection ids are invented, because events do not contain them.
"""

from stagebook.stage.events import Event, EventName, ReplicationDestination
from stagebook.stage.participant.participant_state import Connection, Participant
from stagebook.stage.participant.transitions import PUBLISHING_KINDS, ConnectionKind, ConnectionState


def replay(events: list[Event]) -> Participant:
    """Return the participant that these events leave behind.

    `events` are all events of one participant, oldest first. Connections get invented ids, numbered by the event that
    started them. A participant that joined and has nothing flowing gets a connection that emits no event, so that it
    counts as present. A token exchange needs no treatment: what it ended has its own *_STOPPED event.
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

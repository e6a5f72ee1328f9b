"""Rebuilds a participant from its recorded events.

Recovery uses this to find what an interrupted run left open. It is the inverse of `participant_machine.step`, as far as
the events determine the state: connections that emit no events (events websockets, offers that never connected) are
not restored, and connection ids are invented, because events do not contain them.
"""

from stagebook.stage.events import Event, EventName, ReplicationDestination
from stagebook.stage.participant.participant_state import Connection, Participant
from stagebook.stage.participant.transitions import PUBLISHING_KINDS, ConnectionKind, ConnectionState

# Global names: recovery replays tens of thousands of participants, and members take longer to look up (transitions.py).
_JOINED, _LEFT = EventName.JOINED, EventName.LEFT
_PUBLISH_STARTED, _PUBLISH_STOPPED = EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED
_SUBSCRIBE_STARTED, _SUBSCRIBE_STOPPED = EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED
_REPLICATION_STARTED, _REPLICATION_STOPPED = EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED
_EVENTS, _PUBLISH = ConnectionKind.EVENTS, ConnectionKind.PUBLISH
_SUBSCRIBE, _REPLICA = ConnectionKind.SUBSCRIBE, ConnectionKind.REPLICA
_OPENING, _FLOWING = ConnectionState.OPENING, ConnectionState.FLOWING


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
        if event.name is _JOINED:
            joined, is_replica = True, event.replica
        elif event.name is _LEFT:
            joined, connections = False, {}
        elif event.name is _PUBLISH_STARTED:
            connections[f"replayed-{number}"] = Connection(kind=_REPLICA if is_replica else _PUBLISH, state=_FLOWING)
        elif event.name is _REPLICATION_STARTED and event.destination is not None:
            replications[f"replayed-{number}"] = event.destination
        elif event.name is _REPLICATION_STOPPED:
            replications = {key: other for key, other in replications.items() if other != event.destination}
        elif event.name is _SUBSCRIBE_STARTED:
            connections[f"replayed-{number}"] = Connection(
                kind=_SUBSCRIBE,
                state=_FLOWING,
                remote_participant_id=event.remote_participant_id,
                remote_is_replica=event.replica,
            )
        elif event.name in (_PUBLISH_STOPPED, _SUBSCRIBE_STOPPED):
            _forget(connections, event)
    if joined and not connections:
        connections["replayed"] = (
            Connection(kind=_REPLICA, state=_OPENING) if is_replica else Connection(kind=_EVENTS, state=_FLOWING)
        )
    return Participant(connections=connections, replications=replications, is_replica=is_replica)


def _forget(connections: dict[str, Connection], stopped: Event) -> None:
    kinds = PUBLISHING_KINDS if stopped.name is _PUBLISH_STOPPED else {_SUBSCRIBE}
    for connection_id, connection in connections.items():
        if connection.kind in kinds and connection.remote_participant_id == stopped.remote_participant_id:
            del connections[connection_id]
            return

"""One participant in one stage session, as a state machine.

A participant is the set of its connections. Each connection moves through the table CONNECTION_MOVES, and the
participant as a whole through PRESENCE_EVENTS (both in `transitions.py`):

    (none) --ACCEPTED--> OPENING --CONNECTED--> FLOWING --GONE or CUT--> (none)    publish, redundant, subscribe
    (none) --ACCEPTED--> FLOWING --GONE--> (none)                                  events websocket
    (none) --ACCEPTED--> OPENING <--PAUSED, CONNECTED--> FLOWING --GONE--> (none)  replica

    ABSENT --first connection--> PRESENT --last connection gone--> ABSENT

**Replacement of a publication.** A publisher that sends a second offer has two PUBLISH connections until one of them
wins. The first stays the publication until the second one CONNECTS. Then the older connection is superseded: it
disappears without an event, since other participants see no change. If the second one never connects, it is GONE
without an event and the first goes on. When the flowing publication ends while a replacement is OPENING, the
publication stops and the replacement starts another one when it connects.

**Replications.** A participant also holds its running replications to other stages. A replication can outlive the
publication while it waits for the publisher to return, even if the participant has left.

**Token exchange.** An exchange ends, in the same action and after TOKEN_EXCHANGED, each connection whose kind needs a
capability that the new token lacks (NEEDED_CAPABILITIES).

`step` takes a fact and returns the next value and the events of that action in causal order: JOINED comes before all
others and LEFT after all others (user guide, "Monitoring Stage Health"). An illegal fact raises IllegalFactError and
changes nothing, because all values are frozen.
"""

import msgspec

from stagebook.stage.events import Cause, Event, EventName, ReplicationDestination
from stagebook.stage.participant.participant_facts import (
    Accepted,
    Cut,
    Exchanged,
    Gone,
    MediaConnected,
    ParticipantFact,
    Paused,
    Refused,
    Replicated,
)
from stagebook.stage.participant.participant_state import Connection, Participant
from stagebook.stage.participant.transitions import (
    CONNECTION_MOVES,
    NEEDED_CAPABILITIES,
    PRESENCE_EVENTS,
    PUBLISHING_KINDS,
    ConnectionKind,
    ConnectionState,
    Move,
)

_KINDS = {kind.value: kind for kind in ConnectionKind}
_PUBLISH, _SUBSCRIBE, _REPLICA = ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE, ConnectionKind.REPLICA
_NONE, _ACCEPTED, _CONNECTED, _GONE = ConnectionState.NONE, Move.ACCEPTED, Move.CONNECTED, Move.GONE
_MEDIA_ERRORS = frozenset((EventName.PUBLISH_ERROR, EventName.SUBSCRIBE_ERROR))

MAXIMUM_PUBLISH_CONNECTIONS = 2
"""The publication and one replacement that has not connected yet."""


class IllegalFactError(Exception):
    """The fact is impossible in this state. The caller has a defect; a peer cannot cause this."""


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a fact made: the participant afterwards, and the events of the action in order."""

    participant: Participant
    events: tuple[Event, ...]


def step(participant: Participant, fact: ParticipantFact) -> Step:
    """Apply one fact.

    Returns the next participant and the events of the action in causal order; the given participant is not changed.
    Raises IllegalFactError for a fact that is in no transition table. The rules of a session never pass such a fact, so
    the error means a defect of the server.
    """
    if isinstance(fact, Refused):
        return Step(participant=participant, events=(_refusal(fact, participant),))
    connections, replications = dict(participant.connections), dict(participant.replications)
    # The most frequent ones first.
    if isinstance(fact, Accepted):
        events = _accept(connections, fact, participant)
    elif isinstance(fact, MediaConnected):
        events = _connect(connections, fact, participant)
    elif isinstance(fact, Replicated):
        events = [_replicate(replications, fact, participant)]
    elif isinstance(fact, Paused):
        events = _move(connections, fact.connection_id, Move.PAUSED, fact, participant)
    elif isinstance(fact, Exchanged):
        events = _exchange(connections, replications, fact, participant)
    else:
        events = _end(connections, replications, fact, participant)
    # JOINED and LEFT are derived from the connections; no fact states them. So they alternate, whatever the order of
    # the facts is.
    name = PRESENCE_EVENTS.get((bool(participant.connections), bool(connections)))
    if name is not None:
        # The client asked for the exchange, and not to leave: LEFT follows from the new token, as *_STOPPED does.
        cause = Cause.TOKEN_EXCHANGED if isinstance(fact, Exchanged) else fact.cause
        event = Event(name=name, replica=participant.is_replica, cause=cause, detail=fact.detail)
        events = [event, *events] if connections else [*events, event]
    after = Participant(connections=connections, replications=replications, is_replica=participant.is_replica)
    return Step(participant=after, events=tuple(events))


def _accept(connections: dict[str, Connection], fact: Accepted, participant: Participant) -> list[Event]:
    kind = _KINDS[fact.kind]
    if fact.connection_id in connections:
        raise IllegalFactError(f"connection {fact.connection_id} exists already")
    if kind in PUBLISHING_KINDS:
        publishing = [other.kind for other in connections.values() if other.kind in PUBLISHING_KINDS]
        # Only a publisher with a token has a second connection, while it reconnects. A redundant stream is refused
        # while its stream key is in use (REUSE_OF_STREAM_KEY), and a replica has no transport that could reconnect.
        maximum = MAXIMUM_PUBLISH_CONNECTIONS if kind is _PUBLISH else 1
        if len(publishing) >= maximum or any(other is not kind for other in publishing):
            raise IllegalFactError("a participant has one publication and at most one replacement")
    if participant.is_replica is not (kind is _REPLICA) or (participant.is_replica and connections):
        raise IllegalFactError("a replica has exactly one connection, of the kind REPLICA, which no other has")
    state, _ = CONNECTION_MOVES[kind, _NONE, _ACCEPTED]
    connections[fact.connection_id] = Connection(
        kind=kind,
        state=state,
        remote_participant_id=fact.remote_participant_id,
        remote_is_replica=fact.remote_is_replica,
        sends_audio=fact.sends_audio,
        sends_video=fact.sends_video,
    )
    return []


def _connect(connections: dict[str, Connection], fact: MediaConnected, participant: Participant) -> list[Event]:
    """Move a connection to FLOWING. A PUBLISH connection removes the older ones of the participant without an event."""
    events = _move(connections, fact.connection_id, _CONNECTED, fact, participant)
    if connections[fact.connection_id].kind is not _PUBLISH:
        return events
    for connection_id in superseded_by(participant, fact.connection_id):
        if connections.pop(connection_id).state is ConnectionState.FLOWING:
            # The publication goes on over the new connection: a second PUBLISH_STARTED would have no *_STOPPED.
            events = []
    return events


def superseded_by(participant: Participant, connection_id: str) -> tuple[str, ...]:
    """Return the ids of the PUBLISH connections that this one replaces when it connects: the ones accepted earlier.

    A connection that connects late does not replace a newer one.
    """
    older = []
    for other_id, other in participant.connections.items():
        if other_id == connection_id:
            break
        if other.kind is ConnectionKind.PUBLISH:
            older.append(other_id)
    return tuple(older)


def _replicate(replications: dict[str, ReplicationDestination], fact: Replicated, participant: Participant) -> Event:
    if participant.publication_id is None or not participant.is_publishing:
        raise IllegalFactError("only a participant who publishes, and by itself, is replicated")
    if fact.replication_id in replications:
        raise IllegalFactError(f"replication {fact.replication_id} exists already")
    replications[fact.replication_id] = fact.destination
    return Event(name=EventName.REPLICATION_STARTED, destination=fact.destination, cause=fact.cause, detail=fact.detail)


def _end(
    connections: dict[str, Connection],
    replications: dict[str, ReplicationDestination],
    fact: Cut | Gone,
    participant: Participant,
) -> list[Event]:
    # Connections first: a replication ends because its publication ended. REPLICATION_STOPPED follows PUBLISH_STOPPED.
    if isinstance(fact, Cut):
        events = _move(connections, fact.connection_id, Move.CUT, fact, participant)
    else:
        events = [
            event
            for connection_id in fact.connection_ids
            for event in _move(connections, connection_id, _GONE, fact, participant)
        ]
    for replication_id in fact.replication_ids:
        destination = replications.pop(replication_id, None)
        if destination is None:
            raise IllegalFactError(f"no replication {replication_id}")
        events.append(
            Event(name=EventName.REPLICATION_STOPPED, destination=destination, cause=fact.cause, detail=fact.detail)
        )
    return events


def _move(
    connections: dict[str, Connection],
    connection_id: str,
    move: Move,
    fact: MediaConnected | Paused | Cut | Gone,
    participant: Participant,
) -> list[Event]:
    connection = connections.get(connection_id)
    if connection is None:
        raise IllegalFactError(f"no connection {connection_id}")
    target = CONNECTION_MOVES.get((connection.kind, connection.state, move))
    if target is None:
        raise IllegalFactError(f"a {connection.kind} connection that is {connection.state} cannot be {move}")
    state, names = target
    if state is _NONE:
        del connections[connection_id]
    elif state is not connection.state:
        connections[connection_id] = msgspec.structs.replace(connection, state=state)
    is_replica = connection.remote_is_replica if connection.kind is _SUBSCRIBE else participant.is_replica
    code = fact.code if isinstance(fact, Cut) else None
    return [
        Event(
            name=name,
            remote_participant_id=connection.remote_participant_id,
            error_code=code if name in _MEDIA_ERRORS else None,
            replica=is_replica,
            cause=fact.cause,
            detail=fact.detail,
        )
        for name in names
    ]


def _exchange(
    connections: dict[str, Connection],
    replications: dict[str, ReplicationDestination],
    fact: Exchanged,
    participant: Participant,
) -> list[Event]:
    if not connections:
        raise IllegalFactError("a participant who is not on the stage has no token to exchange")
    allowed = fact.exchange.new.capabilities
    lost = tuple(
        connection_id
        for connection_id, connection in connections.items()
        if connection.kind in NEEDED_CAPABILITIES and NEEDED_CAPABILITIES[connection.kind] not in allowed
    )
    gone = Gone(connection_ids=lost, replication_ids=fact.replication_ids, cause=Cause.TOKEN_EXCHANGED)
    exchanged = Event(
        name=EventName.TOKEN_EXCHANGED,
        replica=participant.is_replica,
        exchange=fact.exchange,
        cause=fact.cause,
        detail=fact.detail,
    )
    return [exchanged, *_end(connections, replications, gone, participant)]


def _refusal(fact: Refused, participant: Participant) -> Event:
    return Event(
        name=EventName(fact.attempt),
        remote_participant_id=fact.remote_participant_id,
        error_code=fact.code,
        replica=fact.remote_is_replica if fact.remote_participant_id is not None else participant.is_replica,
        cause=fact.cause,
        detail=fact.detail,
    )

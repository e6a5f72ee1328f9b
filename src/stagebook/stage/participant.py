"""The life of one participant in one stage session, as tables.

A participant is the set of its connections. Five kinds of connection exist: EVENTS (the websocket), PUBLISH (its one
publication), SUBSCRIBE (one for each time it watches a publisher), REPLICA (all that a replica has: its tie to the
publisher on another stage) and REDUNDANT (one of the streams that feed the publication of a virtual participant). Each
connection walks through the table CONNECTION_MOVES of `moves.py`; the participant as a whole walks through
PRESENCE_MOVES:

    (none) --ACCEPTED--> OPENING --CONNECTED--> FLOWING --GONE/CUT--> (none)      publish, redundant and subscribe
    (none) --ACCEPTED--> FLOWING --GONE--> (none)                                  events websocket
    (none) --ACCEPTED--> OPENING <--PAUSED, CONNECTED--> FLOWING --GONE--> (none)  replica; OPENING may be GONE, too

    ABSENT --ARRIVES (first connection)--> PRESENT --DEPARTS (last one gone)--> ABSENT

Beside them a participant has its running replications to other stages. One can outlive the publication that it shows:
it waits for the publisher to come back, who may have left meanwhile.

A token exchange moves no connection by itself. Those whose kind needs a capability that the new token lacks are GONE in
the same action, after TOKEN_EXCHANGED: the table NEEDED_CAPABILITIES says which.

Facts go in, events come out: `step` returns the new value and the events of that one action, in causal order, JOINED
before all others and LEFT after all others (user guide, "Monitoring Stage Health"). An illegal fact raises
IllegalFactError and changes nothing: values are frozen.

Knows no clock, no id generator, no session, no book and no wire.
"""

from collections.abc import Mapping

import msgspec

from stagebook.stage.events import Cause, Event, EventName, ReplicationDestination
from stagebook.stage.facts import (
    Accepted,
    Connected,
    Cut,
    Exchanged,
    Fact,
    Gone,
    Paused,
    Refused,
    Replaced,
    Replicated,
)
from stagebook.stage.moves import (
    CONNECTION_MOVES,
    NEEDED_CAPABILITIES,
    PRESENCE_MOVES,
    PUBLISHING_KINDS,
    ConnectionKind,
    ConnectionState,
    Move,
    Presence,
)

__all__ = [
    "CONNECTION_MOVES",
    "NEEDED_CAPABILITIES",
    "PRESENCE_MOVES",
    "PUBLISHING_KINDS",
    "Connection",
    "ConnectionKind",
    "ConnectionState",
    "IllegalFactError",
    "Participant",
    "Presence",
    "Step",
    "step",
]


class IllegalFactError(Exception):
    """A fact that cannot happen in this state: a defect of the caller, not of a peer."""


class Connection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One connection that exists. `remote_participant_id` is the publisher that a SUBSCRIBE watches."""

    kind: ConnectionKind
    state: ConnectionState
    remote_participant_id: str | None = None
    remote_is_replica: bool = False


class Participant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One participant as the heart sees it: connections and replications by id. `is_replica` marks its own events."""

    connections: Mapping[str, Connection] = {}
    replications: Mapping[str, ReplicationDestination] = {}
    is_replica: bool = False

    @property
    def presence(self) -> Presence:
        """Whether it is on the stage."""
        return Presence.PRESENT if self.connections else Presence.ABSENT

    @property
    def is_awaited(self) -> bool:
        """Whether it is away while a replication of it waits for it to come back."""
        return bool(self.replications) and not self.connections

    @property
    def replica_id(self) -> str | None:
        """The id of its REPLICA connection, the only one that a replica has, or None."""
        return next(iter(self.connections), None) if self.is_replica else None

    @property
    def publication_id(self) -> str | None:
        """The id of its PUBLISH connection, or None."""
        for connection_id, connection in self.connections.items():
            if connection.kind is ConnectionKind.PUBLISH:
                return connection_id
        return None

    @property
    def is_publishing(self) -> bool:
        """Whether its media flows."""
        return any(
            connection.kind in PUBLISHING_KINDS and connection.state is ConnectionState.FLOWING
            for connection in self.connections.values()
        )


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a fact made: the participant afterwards, and the events of the action in order."""

    participant: Participant
    events: tuple[Event, ...]


def step(participant: Participant, fact: Fact) -> Step:
    """Return the participant after `fact` and the events it made; raise IllegalFactError, changing nothing."""
    if isinstance(fact, Refused):
        return Step(participant=participant, events=(_refusal(fact, participant),))
    connections, replications = dict(participant.connections), dict(participant.replications)
    if isinstance(fact, Replaced):
        events = _replace(connections, fact)
    elif isinstance(fact, Accepted):
        events = _accept(connections, fact, participant)
    elif isinstance(fact, Replicated):
        events = [_replicate(replications, fact, participant)]
    elif isinstance(fact, Connected | Paused):
        move = Move.CONNECTED if isinstance(fact, Connected) else Move.PAUSED
        events = _move(connections, fact.connection_id, move, fact, participant)
    elif isinstance(fact, Exchanged):
        events = _exchange(connections, replications, fact, participant)
    else:
        events = _end(connections, replications, fact, participant)
    presence, names = PRESENCE_MOVES[participant.presence, bool(connections)]
    frame = [Event(name=name, replica=participant.is_replica, cause=fact.cause, detail=fact.detail) for name in names]
    ordered = frame + events if presence is Presence.PRESENT else events + frame
    after = Participant(connections=connections, replications=replications, is_replica=participant.is_replica)
    return Step(participant=after, events=tuple(ordered))


def _accept(connections: dict[str, Connection], fact: Accepted, participant: Participant) -> list[Event]:
    kind = ConnectionKind(fact.kind)
    if fact.connection_id in connections:
        raise IllegalFactError(f"connection {fact.connection_id} exists already")
    if kind in PUBLISHING_KINDS and any(other.kind in PUBLISHING_KINDS for other in connections.values()):
        raise IllegalFactError("a participant has one publication: a second one replaces it")
    if participant.is_replica is not (kind is ConnectionKind.REPLICA) or (participant.is_replica and connections):
        raise IllegalFactError("a replica has its one connection, and no other participant has such")
    state, _ = CONNECTION_MOVES[kind, ConnectionState.NONE, Move.ACCEPTED]
    connections[fact.connection_id] = Connection(
        kind=kind,
        state=state,
        remote_participant_id=fact.remote_participant_id,
        remote_is_replica=fact.remote_is_replica,
    )
    return []


def _replace(connections: dict[str, Connection], fact: Replaced) -> list[Event]:
    former = connections.pop(fact.former_connection_id, None)
    if former is None or former.kind is not ConnectionKind.PUBLISH or fact.connection_id in connections:
        raise IllegalFactError(f"{fact.former_connection_id} is no publication that can be replaced")
    connections[fact.connection_id] = former
    return []


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
    # Connections first: a replication ends because its publication did.
    if isinstance(fact, Cut):
        events = _move(connections, fact.connection_id, Move.CUT, fact, participant)
    else:
        events = [
            event
            for connection_id in fact.connection_ids
            for event in _move(connections, connection_id, Move.GONE, fact, participant)
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
    fact: Connected | Paused | Cut | Gone,
    participant: Participant,
) -> list[Event]:
    connection = connections.get(connection_id)
    if connection is None:
        raise IllegalFactError(f"no connection {connection_id}")
    target = CONNECTION_MOVES.get((connection.kind, connection.state, move))
    if target is None:
        raise IllegalFactError(f"a {connection.kind} connection that is {connection.state} cannot be {move}")
    state, names = target
    if state is ConnectionState.NONE:
        del connections[connection_id]
    elif state is not connection.state:
        connections[connection_id] = msgspec.structs.replace(connection, state=state)
    is_replica = connection.remote_is_replica if connection.kind is ConnectionKind.SUBSCRIBE else participant.is_replica
    code = fact.code if isinstance(fact, Cut) else None
    return [
        Event(
            name=name,
            remote_participant_id=connection.remote_participant_id,
            error_code=code if name in (EventName.PUBLISH_ERROR, EventName.SUBSCRIBE_ERROR) else None,
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

"""The life of one participant in one stage session, as tables.

A participant is the set of its connections. Three kinds of connection exist: EVENTS (the websocket), PUBLISH (its one
publication) and SUBSCRIBE (one for each time it watches a publisher). Each connection walks through the table
CONNECTION_MOVES below; the participant as a whole walks through PRESENCE_MOVES:

    (none) --ACCEPTED--> OPENING --CONNECTED--> FLOWING --GONE/CUT--> (none)      publish and subscribe
    (none) --ACCEPTED--> FLOWING --GONE--> (none)                                  events websocket

    ABSENT --ARRIVES (first connection)--> PRESENT --DEPARTS (last one gone)--> ABSENT

A token exchange moves no connection by itself. Those whose kind needs a capability that the new token lacks are GONE in
the same action, after TOKEN_EXCHANGED: the table NEEDED_CAPABILITIES says which.

Facts go in, events come out: `step` returns the new value and the events of that one action, in causal order, JOINED
before all others and LEFT after all others (user guide, "Monitoring Stage Health"). An illegal fact raises
IllegalFactError and changes nothing: values are frozen.

Knows no clock, no id generator, no session, no book and no wire.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from stagebook.stage.events import Cause, Event, EventName
from stagebook.stage.facts import Accepted, Connected, Cut, Exchanged, Fact, Gone, Refused, Replaced
from stagebook.stage.resources import Capability

__all__ = [
    "CONNECTION_MOVES",
    "NEEDED_CAPABILITIES",
    "PRESENCE_MOVES",
    "Connection",
    "ConnectionKind",
    "ConnectionState",
    "IllegalFactError",
    "Participant",
    "Presence",
    "Step",
    "replay",
    "step",
]


class IllegalFactError(Exception):
    """A fact that cannot happen in this state: a defect of the caller, not of a peer."""


class ConnectionKind(StrEnum):
    """What a connection is for."""

    EVENTS = "events"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class ConnectionState(StrEnum):
    """How far a connection is. NONE is a connection that does not exist (yet, or any more)."""

    NONE = "none"
    OPENING = "opening"
    FLOWING = "flowing"


class Move(StrEnum):
    """What can happen to a connection."""

    ACCEPTED = "accepted"
    CONNECTED = "connected"
    GONE = "gone"
    CUT = "cut"


class Presence(StrEnum):
    """Whether a participant is on the stage."""

    ABSENT = "absent"
    PRESENT = "present"


_NONE, _OPENING, _FLOWING = ConnectionState.NONE, ConnectionState.OPENING, ConnectionState.FLOWING
_EVENTS, _PUBLISH, _SUBSCRIBE = ConnectionKind.EVENTS, ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE

CONNECTION_MOVES: Mapping[
    tuple[ConnectionKind, ConnectionState, Move], tuple[ConnectionState, tuple[EventName, ...]]
] = {
    (_EVENTS, _NONE, Move.ACCEPTED): (_FLOWING, ()),
    (_EVENTS, _FLOWING, Move.GONE): (_NONE, ()),
    (_PUBLISH, _NONE, Move.ACCEPTED): (_OPENING, ()),
    (_PUBLISH, _OPENING, Move.CONNECTED): (_FLOWING, (EventName.PUBLISH_STARTED,)),
    # A replacement inherits a flowing publication: connecting it changes nothing that others can see.
    (_PUBLISH, _FLOWING, Move.CONNECTED): (_FLOWING, ()),
    (_PUBLISH, _OPENING, Move.GONE): (_NONE, ()),
    (_PUBLISH, _FLOWING, Move.GONE): (_NONE, (EventName.PUBLISH_STOPPED,)),
    (_PUBLISH, _OPENING, Move.CUT): (_NONE, (EventName.PUBLISH_ERROR,)),
    (_PUBLISH, _FLOWING, Move.CUT): (_NONE, (EventName.PUBLISH_ERROR, EventName.PUBLISH_STOPPED)),
    (_SUBSCRIBE, _NONE, Move.ACCEPTED): (_OPENING, ()),
    (_SUBSCRIBE, _OPENING, Move.CONNECTED): (_FLOWING, (EventName.SUBSCRIBE_STARTED,)),
    (_SUBSCRIBE, _OPENING, Move.GONE): (_NONE, ()),
    (_SUBSCRIBE, _FLOWING, Move.GONE): (_NONE, (EventName.SUBSCRIBE_STOPPED,)),
    (_SUBSCRIBE, _OPENING, Move.CUT): (_NONE, (EventName.SUBSCRIBE_ERROR,)),
    (_SUBSCRIBE, _FLOWING, Move.CUT): (_NONE, (EventName.SUBSCRIBE_ERROR, EventName.SUBSCRIBE_STOPPED)),
}
"""Every legal move of a connection, the state it leads to, and the events it makes."""

PRESENCE_MOVES: Mapping[tuple[Presence, bool], tuple[Presence, tuple[EventName, ...]]] = {
    (Presence.ABSENT, False): (Presence.ABSENT, ()),
    (Presence.ABSENT, True): (Presence.PRESENT, (EventName.JOINED,)),
    (Presence.PRESENT, True): (Presence.PRESENT, ()),
    (Presence.PRESENT, False): (Presence.ABSENT, (EventName.LEFT,)),
}
"""Presence follows from one question, asked after every fact: has the participant a connection?"""

NEEDED_CAPABILITIES: Mapping[ConnectionKind, Capability] = {
    _PUBLISH: Capability.PUBLISH,
    _SUBSCRIBE: Capability.SUBSCRIBE,
}
"""What a token must allow for a connection of a kind to be opened and to stay; the events websocket needs nothing."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One connection that exists. `remote_participant_id` is the publisher that a SUBSCRIBE watches."""

    kind: ConnectionKind
    state: ConnectionState
    remote_participant_id: str | None = None
    remote_is_replica: bool = False


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """One participant as the heart sees it: its connections by id. `is_replica` marks its own publish events."""

    connections: Mapping[str, Connection] = {}
    is_replica: bool = False

    @property
    def presence(self) -> Presence:
        """Whether it is on the stage."""
        return Presence.PRESENT if self.connections else Presence.ABSENT

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
            connection.kind is ConnectionKind.PUBLISH and connection.state is ConnectionState.FLOWING
            for connection in self.connections.values()
        )


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a fact made: the participant afterwards, and the events of the action in order."""

    participant: Participant
    events: tuple[Event, ...]


def step(participant: Participant, fact: Fact) -> Step:
    """Return the participant after `fact` and the events it made; raise IllegalFactError, changing nothing."""
    if isinstance(fact, Refused):
        return Step(participant=participant, events=(_refusal(fact, participant),))
    connections = dict(participant.connections)
    if isinstance(fact, Replaced):
        events = _replace(connections, fact)
    elif isinstance(fact, Accepted):
        events = _accept(connections, fact)
    elif isinstance(fact, Connected):
        events = _move(connections, fact.connection_id, Move.CONNECTED, fact, participant)
    elif isinstance(fact, Cut):
        events = _move(connections, fact.connection_id, Move.CUT, fact, participant)
    elif isinstance(fact, Exchanged):
        events = _exchange(connections, fact, participant)
    else:
        events = [
            event
            for connection_id in fact.connection_ids
            for event in _move(connections, connection_id, Move.GONE, fact, participant)
        ]
    presence, names = PRESENCE_MOVES[participant.presence, bool(connections)]
    frame = [Event(name=name, cause=fact.cause, detail=fact.detail) for name in names]
    ordered = frame + events if presence is Presence.PRESENT else events + frame
    after = Participant(connections=connections, is_replica=participant.is_replica)
    return Step(participant=after, events=tuple(ordered))


def _accept(connections: dict[str, Connection], fact: Accepted) -> list[Event]:
    kind = ConnectionKind(fact.kind)
    if fact.connection_id in connections:
        raise IllegalFactError(f"connection {fact.connection_id} exists already")
    if kind is _PUBLISH and any(other.kind is _PUBLISH for other in connections.values()):
        raise IllegalFactError("a participant has one publication: a second one replaces it")
    state, _ = CONNECTION_MOVES[kind, _NONE, Move.ACCEPTED]
    connections[fact.connection_id] = Connection(
        kind=kind,
        state=state,
        remote_participant_id=fact.remote_participant_id,
        remote_is_replica=fact.remote_is_replica,
    )
    return []


def _replace(connections: dict[str, Connection], fact: Replaced) -> list[Event]:
    former = connections.pop(fact.former_connection_id, None)
    if former is None or former.kind is not _PUBLISH or fact.connection_id in connections:
        raise IllegalFactError(f"{fact.former_connection_id} is no publication that can be replaced")
    connections[fact.connection_id] = former
    return []


def _move(
    connections: dict[str, Connection],
    connection_id: str,
    move: Move,
    fact: Connected | Cut | Gone,
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
            error_code=code if name in (EventName.PUBLISH_ERROR, EventName.SUBSCRIBE_ERROR) else None,
            replica=is_replica,
            cause=fact.cause,
            detail=fact.detail,
        )
        for name in names
    ]


def _exchange(connections: dict[str, Connection], fact: Exchanged, participant: Participant) -> list[Event]:
    if not connections:
        raise IllegalFactError("a participant who is not on the stage has no token to exchange")
    allowed = fact.exchange.new.capabilities
    lost = tuple(
        connection_id
        for connection_id, connection in connections.items()
        if connection.kind in NEEDED_CAPABILITIES and NEEDED_CAPABILITIES[connection.kind] not in allowed
    )
    gone = Gone(connection_ids=lost, cause=Cause.TOKEN_EXCHANGED)
    exchanged = Event(
        name=EventName.TOKEN_EXCHANGED,
        replica=participant.is_replica,
        exchange=fact.exchange,
        cause=fact.cause,
        detail=fact.detail,
    )
    ended = [event for each in lost for event in _move(connections, each, Move.GONE, gone, participant)]
    return [exchanged, *ended]


def _refusal(fact: Refused, participant: Participant) -> Event:
    return Event(
        name=EventName(fact.attempt),
        remote_participant_id=fact.remote_participant_id,
        error_code=fact.code,
        replica=fact.remote_is_replica if fact.remote_participant_id is not None else participant.is_replica,
        cause=fact.cause,
        detail=fact.detail,
    )


def replay(events: list[Event]) -> Participant:
    """Return the participant that these events (all of one participant's, oldest first) leave behind.

    What an interrupted run left open has no connection ids any more; they are made up here, in order. A participant
    that joined and had nothing flowing is given an EVENTS connection, so that it counts as present. A token exchange
    left nothing open by itself: what it ended has its own *_STOPPED.
    """
    connections: dict[str, Connection] = {}
    joined = False
    for number, event in enumerate(events):
        if event.name is EventName.JOINED:
            joined = True
        elif event.name is EventName.LEFT:
            joined, connections = False, {}
        elif event.name is EventName.PUBLISH_STARTED:
            connections[f"replayed-{number}"] = Connection(kind=_PUBLISH, state=_FLOWING)
        elif event.name is EventName.SUBSCRIBE_STARTED:
            connections[f"replayed-{number}"] = Connection(
                kind=_SUBSCRIBE,
                state=_FLOWING,
                remote_participant_id=event.remote_participant_id,
                remote_is_replica=event.replica,
            )
        elif event.name in (EventName.PUBLISH_STOPPED, EventName.SUBSCRIBE_STOPPED):
            _forget(connections, event)
    if joined and not connections:
        connections["replayed"] = Connection(kind=_EVENTS, state=_FLOWING)
    return Participant(connections=connections)


def _forget(connections: dict[str, Connection], stopped: Event) -> None:
    kind = _PUBLISH if stopped.name is EventName.PUBLISH_STOPPED else _SUBSCRIBE
    for connection_id, connection in connections.items():
        if connection.kind is kind and connection.remote_participant_id == stopped.remote_participant_id:
            del connections[connection_id]
            return

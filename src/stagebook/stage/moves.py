"""The tables that a participant's life is walked by: what can happen to its connections, and which events that makes.

How they are walked is `participant.py`'s story; here is only what is legal.
"""

from collections.abc import Mapping
from enum import StrEnum

from stagebook.stage.events import EventName
from stagebook.stage.resources import Capability


class ConnectionKind(StrEnum):
    """What a connection is for."""

    EVENTS = "events"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    REPLICA = "replica"
    REDUNDANT = "redundant"


class ConnectionState(StrEnum):
    """How far a connection is. NONE is a connection that does not exist (yet, or any more)."""

    NONE = "none"
    OPENING = "opening"
    FLOWING = "flowing"


class Move(StrEnum):
    """What can happen to a connection."""

    ACCEPTED = "accepted"
    CONNECTED = "connected"
    PAUSED = "paused"
    GONE = "gone"
    CUT = "cut"


class Presence(StrEnum):
    """Whether a participant is on the stage."""

    ABSENT = "absent"
    PRESENT = "present"


_NONE, _OPENING, _FLOWING = ConnectionState.NONE, ConnectionState.OPENING, ConnectionState.FLOWING
_EVENTS, _PUBLISH, _SUBSCRIBE = ConnectionKind.EVENTS, ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE
_REPLICA, _REDUNDANT = ConnectionKind.REPLICA, ConnectionKind.REDUNDANT

PUBLISHING_KINDS = frozenset({_PUBLISH, _REPLICA, _REDUNDANT})
"""The kinds of connection that make a participant a publisher. Who watches a redundant stream watches another's id."""

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
    (_REPLICA, _NONE, Move.ACCEPTED): (_OPENING, ()),
    (_REPLICA, _OPENING, Move.CONNECTED): (_FLOWING, (EventName.PUBLISH_STARTED,)),
    (_REPLICA, _FLOWING, Move.PAUSED): (_OPENING, (EventName.PUBLISH_STOPPED,)),
    (_REPLICA, _OPENING, Move.GONE): (_NONE, ()),
    (_REPLICA, _FLOWING, Move.GONE): (_NONE, (EventName.PUBLISH_STOPPED,)),
    (_REDUNDANT, _NONE, Move.ACCEPTED): (_OPENING, ()),
    (_REDUNDANT, _OPENING, Move.CONNECTED): (_FLOWING, (EventName.PUBLISH_STARTED,)),
    (_REDUNDANT, _OPENING, Move.GONE): (_NONE, ()),
    (_REDUNDANT, _FLOWING, Move.GONE): (_NONE, (EventName.PUBLISH_STOPPED,)),
    (_REDUNDANT, _OPENING, Move.CUT): (_NONE, (EventName.PUBLISH_ERROR,)),
    (_REDUNDANT, _FLOWING, Move.CUT): (_NONE, (EventName.PUBLISH_ERROR, EventName.PUBLISH_STOPPED)),
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
    _REDUNDANT: Capability.PUBLISH,
    _SUBSCRIBE: Capability.SUBSCRIBE,
}
"""What a token must allow for a connection of a kind to be opened and to stay; the events websocket needs nothing."""

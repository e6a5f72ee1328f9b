"""The transition tables of a participant: legal moves of its connections, and the events that each move emits.

A participant has connections of five kinds:

* EVENTS: its events websocket;
* PUBLISH: its publication over WebRTC or RTMP. While a publisher reconnects it has two of these, see
  `participant_machine.py`;
* SUBSCRIBE: one for each publisher that it watches;
* REPLICA: the only connection of a replica. It stands for the publisher on the source stage;
* REDUNDANT: one of the two encoder streams that feed a virtual participant.

A connection is OPENING until its media transport is connected (ICE and DTLS for WebRTC, the first audio and video for
RTMP), and FLOWING afterwards. PUBLISH_STARTED and SUBSCRIBE_STARTED therefore mean that media can flow, and an offer
that never connects has neither event. A move that is in no table is illegal.
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
    """The state of a connection. NONE is a connection that does not exist."""

    NONE = "none"
    OPENING = "opening"
    FLOWING = "flowing"


class Move(StrEnum):
    """What can happen to a connection. CUT is an end that the server decides, with an error code."""

    ACCEPTED = "accepted"
    CONNECTED = "connected"
    PAUSED = "paused"
    GONE = "gone"
    CUT = "cut"


class Presence(StrEnum):
    """Whether a participant is on the stage."""

    ABSENT = "absent"
    PRESENT = "present"


# Other modules on the path of a join have such constants as well: until Python 3.12, looking up a member of an
# enumeration takes 15 times as long as looking up a global name, and a join needs about a hundred of them.
_NONE, _OPENING, _FLOWING = ConnectionState.NONE, ConnectionState.OPENING, ConnectionState.FLOWING
_EVENTS, _PUBLISH, _SUBSCRIBE = ConnectionKind.EVENTS, ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE
_REPLICA, _REDUNDANT = ConnectionKind.REPLICA, ConnectionKind.REDUNDANT

PUBLISHING_KINDS = frozenset({_PUBLISH, _REPLICA, _REDUNDANT})
"""The kinds of connection that make a participant a publisher."""

CONNECTION_MOVES: Mapping[
    tuple[ConnectionKind, ConnectionState, Move], tuple[ConnectionState, tuple[EventName, ...]]
] = {
    (_EVENTS, _NONE, Move.ACCEPTED): (_FLOWING, ()),
    (_EVENTS, _FLOWING, Move.GONE): (_NONE, ()),
    (_PUBLISH, _NONE, Move.ACCEPTED): (_OPENING, ()),
    (_PUBLISH, _OPENING, Move.CONNECTED): (_FLOWING, (EventName.PUBLISH_STARTED,)),
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
"""Each legal move of a connection: the state it leads to, and the names of the events it emits, in order."""

PRESENCE_EVENTS: Mapping[tuple[bool, bool], EventName] = {
    (False, True): EventName.JOINED,
    (True, False): EventName.LEFT,
}
"""The event of a fact that adds the first connection of a participant or ends the last one.

The key is whether it had a connection before the fact, and whether it has one afterwards."""

NEEDED_CAPABILITIES: Mapping[ConnectionKind, Capability] = {
    _PUBLISH: Capability.PUBLISH,
    _REDUNDANT: Capability.PUBLISH,
    _SUBSCRIBE: Capability.SUBSCRIBE,
}
"""The capability that a token must have to open and to keep a connection of each kind (shape
ParticipantTokenCapability). The events websocket needs none."""

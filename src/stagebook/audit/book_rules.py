"""The rules of the book, each with a name, its text and its source.

An import refuses a source that breaks one, and a check reports each place where a book breaks one. The names are part
of the output of both commands: programs may depend on them.
"""

from collections.abc import Callable

import msgspec

_ARCHITECTURE = "docs/architecture.md, Six rules of the book"
_EVENT_SHAPE = "API reference, shape Event"
_PARTICIPANT_SHAPE = "API reference, shape Participant"
_TRANSITIONS = "stage/participant/transitions.py"
_EVENT_ID = "book/event_id.py"
_SCHEMA = "book/sqlite/schema.py"
_RECORDINGS = "stage/recording/recording_machine.py"
_IMPORT = "docs/import.md"


class BookRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: its name, what must hold, and where it comes from."""

    name: str
    text: str
    source: str


# Each event by itself.
IDS = BookRule(
    name="ids",
    text="The ARNs of stages and the ids of sessions, participants and accounts have the forms of the service model.",
    source="API reference, shapes StageArn, StageSessionId and ParticipantId",
)
EVENT_ID = BookRule(
    name="event-id",
    text="The id of an event is made of its sequence number, its session and its participant.",
    source=_EVENT_ID,
)
EVENT_TIME = BookRule(
    name="event-time",
    text="The time of an event is that of its sequence number.",
    source=f"{_ARCHITECTURE}, 3",
)
ERROR_CODE = BookRule(
    name="error-code",
    text="An event has an error code if and only if it is a *_ERROR event.",
    source=_EVENT_SHAPE,
)
REMOTE_PARTICIPANT = BookRule(
    name="remote-participant",
    text="SUBSCRIBE_STARTED and SUBSCRIBE_STOPPED name a remote participant, SUBSCRIBE_ERROR may, other events do not.",
    source=_EVENT_SHAPE,
)
DESTINATION = BookRule(
    name="destination",
    text="REPLICATION_STARTED and REPLICATION_STOPPED name a destination stage and session, other events do not.",
    source=_EVENT_SHAPE,
)
TOKENS = BookRule(
    name="tokens",
    text="TOKEN_EXCHANGED has the previous and the new token, other events have none.",
    source=_EVENT_SHAPE,
)
RECORDING_DETAILS = BookRule(
    name="recording-details",
    text="RECORDING_* has a prefix, a bucket unless its storage configuration was deleted, RECORDING_ENDED a duration,"
    " a failure an error code, others none.",
    source=_RECORDINGS,
)

# The events of one participant in one session.
SEQUENCE = BookRule(
    name="sequence",
    text="Sequence numbers grow, and no two events share one.",
    source=f"{_ARCHITECTURE}, 3",
)
PRESENCE = BookRule(
    name="presence",
    text="JOINED and LEFT alternate, beginning with JOINED.",
    source=f"{_TRANSITIONS}, PRESENCE_EVENTS",
)
ON_STAGE = BookRule(
    name="on-stage",
    text="Between LEFT and JOINED, and before the first JOINED, there are errors, REPLICATION_STOPPED and RECORDING_*.",
    source=f"{_ARCHITECTURE}, 3",
)
STOPPED_BEFORE_LEFT = BookRule(
    name="stopped-before-left",
    text="Publications and subscriptions stop before LEFT.",
    source=f"{_ARCHITECTURE}, 3",
)
PUBLICATION = BookRule(
    name="publication",
    text="PUBLISH_STARTED and PUBLISH_STOPPED alternate, beginning with PUBLISH_STARTED.",
    source=f"{_TRANSITIONS}, CONNECTION_MOVES",
)
SUBSCRIPTION = BookRule(
    name="subscription",
    text="Each SUBSCRIBE_STOPPED ends a SUBSCRIBE_STARTED of the same remote participant.",
    source=f"{_TRANSITIONS}, CONNECTION_MOVES",
)
REPLICATION = BookRule(
    name="replication",
    text="A replication starts while its participant publishes, once for each destination, and stops after that.",
    source="stage/participant/participant_machine.py",
)
RECORDINGS = BookRule(
    name="recordings",
    text="A recording starts at most once, has at most one outcome, and ends only after it has started.",
    source=_RECORDINGS,
)
CAPABILITIES = BookRule(
    name="capabilities",
    text="After a token exchange, what the new token does not allow has stopped and does not start.",
    source="stage/participant/participant_machine.py, token exchange",
)
REPLICA_MARK = BookRule(
    name="replica-mark",
    text="The events of a replica are marked, from JOINED to LEFT, and no others; it does not watch nor replicate.",
    source=_EVENT_SHAPE,
)

# A session, and its stage.
SESSION_TIMES = BookRule(
    name="session-times",
    text="The events of a session lie between its start and its end, RECORDING_* also after it.",
    source=f"{_ARCHITECTURE}, 2",
)
ONE_SESSION = BookRule(
    name="one-session",
    text="The sessions of a stage do not overlap, so at most one is open.",
    source="API reference, shape StageSession",
)
CLOSED = BookRule(
    name="closed",
    text="In an ended session each JOINED has its LEFT and each *_STARTED its *_STOPPED.",
    source=f"{_ARCHITECTURE}, 4",
)
VIEWERS = BookRule(
    name="viewers",
    text="A subscription stops with the publication that it watches.",
    source=f"{_ARCHITECTURE}, 2",
)
ROW = BookRule(
    name="row",
    text="A participant's state, published, firstJoinTime, replicationState, recordingState are what its events say.",
    source=f"{_ARCHITECTURE}, 2; {_PARTICIPANT_SHAPE}",
)
REPLICATION_ENDS = BookRule(
    name="replication-ends",
    text="A replication runs if and only if its replica is on the destination stage and its row is ACTIVE.",
    source=f"{_ARCHITECTURE}, 2",
)

# A composition.
COMPOSITION = BookRule(
    name="composition",
    text="The events of a composition are moves of its states: it ends once, last, and after each of its destinations.",
    source="stage/composition/composition_machine.py",
)
COMPOSITION_ROW = BookRule(
    name="composition-row",
    text="The states of a composition and of its destinations are what its events say.",
    source=f"{_ARCHITECTURE}, 2",
)

# The files.
DATABASE = BookRule(
    name="database",
    text="The file is a sound SQLite database; a database can be read to its end.",
    source="sqlite.org/pragma.html, quick_check",
)
REFERENCES = BookRule(
    name="references",
    text="Each row refers to a stage, a session and a participant that exist.",
    source=_SCHEMA,
)
VALUES = BookRule(
    name="values",
    text="Each row has values that the book can have stored.",
    source="book/tables/rows.py",
)
LAST_SEQUENCE = BookRule(
    name="last-sequence",
    text="The last sequence number of the book is not below any event or session end.",
    source=f"{_SCHEMA}, table sequencer",
)
OPEN_EVENTS = BookRule(
    name="open-events",
    text="The table of open events has what no event has ended.",
    source=f"{_SCHEMA}, table open_event",
)
OPEN_RECORDINGS = BookRule(
    name="open-recordings",
    text="The table of open recordings has those whose participants show them as STARTING, ACTIVE or STOPPING.",
    source=f"{_SCHEMA}, table open_recording",
)
SEARCH_INDEX = BookRule(
    name="search-index",
    text="The search index has each event up to its position, with the same values.",
    source="history/search/index_schema.py",
)

# What a source must be, to be imported.
FORM = BookRule(
    name="form",
    text="A source is an export or a list of compositions in JSON Lines, or the JSON that the AWS CLI prints of "
    "events, sessions and stages.",
    source=_IMPORT,
)
SAME_EVENT = BookRule(
    name="same-event",
    text="An event that the book has already is the same in both.",
    source=_IMPORT,
)
NEWER = BookRule(
    name="newer",
    text="An event that the book does not have is newer than all that it has.",
    source=f"{_ARCHITECTURE}, 3",
)
WHOLE_SESSION = BookRule(
    name="whole-session",
    text="A session that the book has is continued only with all its events, and only while it is open.",
    source=_IMPORT,
)

RULES: tuple[BookRule, ...] = (
    *(IDS, EVENT_ID, EVENT_TIME, ERROR_CODE, REMOTE_PARTICIPANT, DESTINATION, TOKENS, RECORDING_DETAILS),
    *(SEQUENCE, PRESENCE, ON_STAGE, STOPPED_BEFORE_LEFT, PUBLICATION, SUBSCRIPTION, REPLICATION),
    *(CAPABILITIES, REPLICA_MARK, RECORDINGS),
    *(SESSION_TIMES, ONE_SESSION, CLOSED, VIEWERS, ROW, REPLICATION_ENDS),
    *(COMPOSITION, COMPOSITION_ROW),
    *(DATABASE, REFERENCES, VALUES, LAST_SEQUENCE, OPEN_EVENTS, OPEN_RECORDINGS, SEARCH_INDEX),
    *(FORM, SAME_EVENT, NEWER, WHOLE_SESSION),
)
"""All rules: of an event, a participant's events, a session, a composition, the files, and a source of an import."""


class Violation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A place where a rule is broken. Members that do not apply are empty; `source` is `<file>:<line>` of an import."""

    rule: str
    detail: str
    stage_arn: str = ""
    session_id: str = ""
    participant_id: str = ""
    event_id: str = ""
    source: str = ""


Report = Callable[[Violation], None]
"""Takes each broken rule. An import raises, a check goes on."""


class RuleBrokenError(Exception):
    """A source of an import breaks a rule. Nothing of it is in the book."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(describe(violation))
        self.violation = violation


def describe(violation: Violation) -> str:
    """Return a violation as one line of text: the place, the rule, what is wrong, and the text of the rule."""
    place = " ".join(
        part
        for part in (
            violation.source,
            violation.stage_arn,
            violation.session_id and f"session {violation.session_id}",
            violation.participant_id and f"participant {violation.participant_id}",
            violation.event_id and f"event {violation.event_id}",
        )
        if part
    )
    return f"{place}{': ' if place else ''}{violation.rule}: {violation.detail}"


def refuse(violation: Violation) -> None:
    """Raise RuleBrokenError for a violation: the `Report` of an import."""
    raise RuleBrokenError(violation)

"""The SQL statements of `TableReader`. Those of the event log, session history and retention stand with their readers.

Each statement is an index lookup or a range scan along an index; none scans a table or sorts, so the cost does not
depend on the size of the book. `tests/book/tables/test_queries.py` checks every query plan.

Parameters: `:arn`, `:session`, `:participant`, `:account` and `:token` are the ids of the API; `:show` is 1 to include
deleted stages; `:after` is the position that a page continues from. CROSS JOIN makes SQLite join the tables in the
order in which they are written (sqlite.org/optoverview.html, section 8.3): first the ids are resolved to keys by unique
indexes, then the rows of the page are read. Where the rows are sorted, a subquery finds the key before: only then does
PostgreSQL see that an index has them in this order.
"""

from functools import cache

_STAGE = """
SELECT stage.arn, stage.account_id, stage.name, stage.created_ms, stage.tags, stage.recording, session.session_id,
    stage.stage_key
FROM stage LEFT JOIN session ON session.stage_key = stage.stage_key AND session.end_ms IS NULL
"""
GET_STAGE = _STAGE + "WHERE stage.arn = :arn AND stage.deleted_ms IS NULL"
HAS_HAD_STAGE = "SELECT 1 FROM stage WHERE arn = :arn"
LIST_STAGES = (
    _STAGE
    + """
WHERE stage.account_id = :account AND stage.deleted_ms IS NULL AND stage.stage_key > :after
ORDER BY stage.stage_key LIMIT :limit
"""
)
COUNT_STAGES = "SELECT count(*) FROM stage WHERE account_id = :account AND deleted_ms IS NULL"

_SESSION = "SELECT stage.arn, session.session_id, session.start_ms, session.end_ms, session.session_key "
GET_SESSION = (
    _SESSION
    + """
FROM stage CROSS JOIN session ON session.stage_key = stage.stage_key
WHERE stage.arn = :arn AND session.session_id = :session AND (stage.deleted_ms IS NULL OR :show)
"""
)
LIST_SESSIONS = """
SELECT :arn, session_id, start_ms, end_ms, session_key FROM session INDEXED BY session_of_stage
WHERE stage_key = (SELECT stage_key FROM stage WHERE arn = :arn AND (deleted_ms IS NULL OR :show))
    AND session_key < :after
ORDER BY session_key DESC LIMIT :limit
"""
LIST_OPEN_SESSIONS = (
    _SESSION
    + """
FROM session INDEXED BY session_open CROSS JOIN stage ON stage.stage_key = session.stage_key
WHERE session.end_ms IS NULL AND (:account IS NULL OR stage.account_id = :account)
"""
)

_PARTICIPANT = """
SELECT participant.participant_id, participant.user_id, participant.state, participant.published,
    participant.first_join_ms, participant.rest, participant.recording_state, participant.recording_bucket,
    participant.recording_prefix, participant.number
FROM participant {index}
WHERE participant.session_key = (
    SELECT session.session_key FROM stage CROSS JOIN session ON session.stage_key = stage.stage_key
    WHERE stage.arn = :arn AND session.session_id = :session AND (stage.deleted_ms IS NULL OR :show)
)
"""
GET_PARTICIPANT = _PARTICIPANT.format(index="") + "AND participant.participant_id = :participant"


@cache
def list_participants(*, by_user: bool, published: bool | None, by_state: bool, recorded: bool | None = None) -> str:
    """Return the statement for these filters. It uses the index that selects the fewest rows.

    `published` is the required value, or None for no filter. `recorded` is True for a recording state `:recording`,
    False for participants that were not recorded. Most participants of a large session have not published and were not
    recorded, so there is no index for False. Such a statement reads the participants from number `:first` on only.
    """
    index = ""
    if by_user:
        index = "INDEXED BY participant_by_user"
    elif recorded:
        index = "INDEXED BY participant_by_recording"
    elif published:
        index = "INDEXED BY participant_published"
    elif by_state:
        index = "INDEXED BY participant_by_state"
    statement = _PARTICIPANT.format(index=index) + "AND participant.number < :after "
    if by_user:
        statement += "AND participant.user_id = :user "
    if published is not None:
        statement += f"AND participant.published = {int(published)} "
    if recorded is not None:
        statement += f"AND participant.recording_state {'= :recording' if recorded else 'IS NULL'} "
    if published is False or recorded is False:
        statement += "AND participant.number >= :first "
    if by_state:
        statement += "AND participant.state = :state "
    return statement + "ORDER BY participant.number DESC LIMIT :limit"


LAST_PARTICIPANT_NUMBER = """
SELECT max(number) FROM participant
WHERE session_key = (
    SELECT session.session_key FROM stage CROSS JOIN session ON session.stage_key = stage.stage_key
    WHERE stage.arn = :arn AND session.session_id = :session
)
"""

_EVENTS_OF_PARTICIPANT = """
FROM event WHERE (event.session_key, event.participant_number) = (
    SELECT participant.session_key, participant.number
    FROM stage CROSS JOIN session ON session.stage_key = stage.stage_key CROSS JOIN participant
        ON participant.session_key = session.session_key
    WHERE stage.arn = ? AND session.session_id = ? AND participant.participant_id = ?
        AND (stage.deleted_ms IS NULL OR ?)
)
"""
# A recording has at most two events, and a publication of its own: a page reads at most twice the rows that it shows.
_PAGE = (
    "SELECT sequence, name, error_code, remote_participant_id, replica, extra "
    + _EVENTS_OF_PARTICIPANT
    + "AND name < ? "
)
PAGE_NEWEST_FIRST = _PAGE + "AND sequence < ? ORDER BY sequence DESC LIMIT ?"
PAGE_OLDEST_FIRST = _PAGE + "AND sequence > ? ORDER BY sequence LIMIT ?"
# The rows of a participant follow each other, the participants in the order of their numbers. `:limit` bounds the
# number of participants.
LIST_OPEN_PARTICIPANTS = """
SELECT participant.participant_id, participant.user_id, participant.state, participant.published,
    participant.first_join_ms, participant.rest, participant.recording_state, participant.recording_bucket,
    participant.recording_prefix, participant.number, open_event.open_count,
    event.sequence, event.name, event.error_code, event.remote_participant_id, event.replica, event.cause, event.detail,
    event.extra
FROM stage CROSS JOIN session ON session.stage_key = stage.stage_key
    CROSS JOIN open_event ON open_event.session_key = session.session_key
    CROSS JOIN event ON event.session_key = open_event.session_key
        AND event.participant_number = open_event.participant_number AND event.sequence = open_event.sequence
    CROSS JOIN participant ON participant.session_key = open_event.session_key
        AND participant.number = open_event.participant_number
WHERE stage.arn = :arn AND session.session_id = :session AND open_event.participant_number > :after
    AND open_event.participant_number <= (
        SELECT max(number) FROM (
            SELECT DISTINCT counted.participant_number AS number FROM open_event AS counted
            WHERE counted.session_key = session.session_key AND counted.participant_number > :after
            ORDER BY counted.participant_number LIMIT :limit
        ) AS numbers
    )
ORDER BY open_event.participant_number
"""
LIST_EVENTS = (
    "SELECT sequence, name, error_code, remote_participant_id, replica, cause, detail, extra "
    + _EVENTS_OF_PARTICIPANT
    + "ORDER BY sequence"
)
# The newest event of each participant is the first of its rows, so this reads one row per participant, not per event.
LAST_SEQUENCE_OF_SESSION = """
SELECT max((
    SELECT event.sequence FROM event
    WHERE event.session_key = participant.session_key AND event.participant_number = participant.number
    ORDER BY event.sequence DESC LIMIT 1
))
FROM stage CROSS JOIN session ON session.stage_key = stage.stage_key CROSS JOIN participant
    ON participant.session_key = session.session_key
WHERE stage.arn = :arn AND session.session_id = :session
"""

FIRST_SEQUENCE = "SELECT min(sequence) FROM event INDEXED BY event_by_sequence"

LIST_OPEN_RECORDINGS = """
SELECT stage.arn, session.session_id, participant.participant_id, open_recording.recording_id, open_recording.bucket,
    open_recording.prefix, open_recording.is_started, open_recording.is_shown, 0
FROM open_recording CROSS JOIN session ON session.session_key = open_recording.session_key
    CROSS JOIN stage ON stage.stage_key = session.stage_key
    CROSS JOIN participant ON participant.session_key = open_recording.session_key
        AND participant.number = open_recording.participant_number
WHERE :account IS NULL OR stage.account_id = :account
ORDER BY open_recording.recording_id
"""

HAS_REVOKED = """
SELECT 1 FROM stage CROSS JOIN revocation ON revocation.stage_key = stage.stage_key WHERE stage.arn = :arn LIMIT 1
"""
IS_REVOKED = """
SELECT 1 FROM stage CROSS JOIN revocation ON revocation.stage_key = stage.stage_key
WHERE stage.arn = :arn AND revocation.participant_id = :participant
"""
# A page continues after the participant `:participant` of the stage with the key `:stage`.
LIST_REVOCATIONS = """
SELECT stage.arn, revocation.participant_id, stage.stage_key
FROM stage INDEXED BY stage_of_account CROSS JOIN revocation ON revocation.stage_key = stage.stage_key
WHERE stage.account_id = :account AND stage.deleted_ms IS NULL AND stage.stage_key >= :stage
    AND (stage.stage_key > :stage OR revocation.participant_id > :participant)
ORDER BY stage.stage_key, revocation.participant_id LIMIT :limit
"""

GET_RESOURCE = "SELECT value, resource_key FROM resource WHERE arn = :arn"
LIST_RESOURCES = """
SELECT value, resource_key FROM resource INDEXED BY resource_of_account
WHERE account_id = :account AND resource_type = :type AND resource_key > :after ORDER BY resource_key LIMIT :limit
"""
# Along the primary key: other types are read as well, which a start can afford.
LIST_RESOURCES_OF_TYPE = """
SELECT value, resource_key FROM resource
WHERE resource_type = :type AND resource_key > :after ORDER BY resource_key LIMIT :limit
"""
COUNT_RESOURCES = "SELECT count(*) FROM resource WHERE account_id = :account AND resource_type = :type"

_REPLICA = """
SELECT source.arn, source_session.session_id, replica.participant_id, destination.arn, destination_session.session_id,
    replica.state, replica.replica_key
FROM {first} CROSS JOIN {second}
    CROSS JOIN session AS source_session ON source_session.session_key = replica.source_session_key
    CROSS JOIN session AS destination_session ON destination_session.session_key = replica.destination_session_key
    CROSS JOIN stage AS destination ON destination.stage_key = destination_session.stage_key
"""
LIST_REPLICAS = (
    _REPLICA.format(
        first="stage AS source",
        second="replica INDEXED BY replica_of_participant ON replica.source_stage_key = source.stage_key",
    )
    + """
WHERE source.arn = :arn AND replica.participant_id = :participant AND replica.replica_key < :after
    AND (source.deleted_ms IS NULL OR :show)
ORDER BY replica.replica_key DESC LIMIT :limit
"""
)
LIST_ACTIVE_REPLICAS = (
    _REPLICA.format(
        first="replica INDEXED BY replica_active",
        second="stage AS source ON source.stage_key = replica.source_stage_key",
    )
    + """
WHERE replica.state = 0 AND (:account IS NULL OR source.account_id = :account) ORDER BY replica.replica_key
"""
)

IS_CONNECTION_REVOKED = """
SELECT 1 FROM connection_token_revocation WHERE account_id = :account AND token_id = :token
"""
LIST_REVOKED_CONNECTION_TOKENS = """
SELECT token_id FROM connection_token_revocation WHERE account_id = :account AND token_id > :token
ORDER BY token_id LIMIT :limit
"""
HAS_BOUND_PARTICIPANTS = """
SELECT 1 FROM connection_token_revocation
WHERE account_id = :account AND token_id > :stage || '/' AND token_id < :stage || '0' LIMIT 1
"""
"""In ASCII, the zero follows the slash."""
# The writer stores in `sequencer` only numbers that no event has; retention stores the newest one before it deletes.
LAST_SEQUENCE = """
SELECT max(last_sequence, (SELECT coalesce(max(sequence), 0) FROM event INDEXED BY event_by_sequence),
    (SELECT coalesce(max(sequence), 0) FROM composition_event))
FROM sequencer
"""
"""The newest sequence number that was ever given: that of an event, or the time of a session's end."""
NOTE_LAST_SEQUENCE = "UPDATE sequencer SET last_sequence = (" + LAST_SEQUENCE + ")"  # noqa: S608 - a constant

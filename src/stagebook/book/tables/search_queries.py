"""The statements of a search of events along the sequence numbers, without an index for each filter.

Each statement is one for all filters, so that a database prepares it once. A text that is '' and a set that is 0 filter
nothing. `:names`, `:errors` and `:causes` are sets of codes as bits. At most `:examined` events are read.
"""

from stagebook.book.tables.compositions.composition_reads import logged_composition_events
from stagebook.book.tables.table_event_log import logged_events

_CONDITIONS = """
    AND (:names = 0 OR (:names >> entry.name) & 1 = 1)
    AND (:errors = 0 OR entry.error_code IS NOT NULL AND (:errors >> entry.error_code) & 1 = 1)
    AND (:causes = 0 OR entry.cause IS NOT NULL AND (:causes >> entry.cause) & 1 = 1)
ORDER BY entry.sequence {order} LIMIT :limit
"""
# The inner query is planned as that of the log: the conditions could mislead a planner to another index.
_EVENTS = (
    "SELECT entry.* FROM ("  # noqa: S608 - constants
    + logged_events("event INDEXED BY event_by_sequence")
    + """
    WHERE event.sequence BETWEEN :first AND :last ORDER BY event.sequence {order} LIMIT :examined
) AS entry
WHERE entry.account_id = :account
    AND (:stage = '' OR entry.arn = :stage)
    AND (:session = '' OR entry.session_id = :session)
    AND (:participant = '' OR entry.participant_id = :participant)
    AND (:any_user = 1 OR entry.user_id = :user)
"""
    + _CONDITIONS
)
SEARCH_OLDEST_FIRST = _EVENTS.format(order="ASC")
SEARCH_NEWEST_FIRST = _EVENTS.format(order="DESC")

_COMPOSITIONS = (
    "SELECT entry.* FROM ("  # noqa: S608 - constants
    + logged_composition_events("composition_event CROSS JOIN composition USING (composition_key)")
    + """
    WHERE composition_event.sequence BETWEEN :first AND :last
    ORDER BY composition_event.sequence {order} LIMIT :examined
) AS entry
WHERE entry.account_id = :account
    AND (:stage = '' OR entry.stage_arn = :stage)
    AND (:composition = '' OR entry.arn = :composition)
"""
    + _CONDITIONS
)
SEARCH_COMPOSITIONS_OLDEST_FIRST = _COMPOSITIONS.format(order="ASC")
SEARCH_COMPOSITIONS_NEWEST_FIRST = _COMPOSITIONS.format(order="DESC")

_CUT = """
SELECT sequence FROM {events} WHERE sequence BETWEEN :first AND :last ORDER BY sequence {order} LIMIT 1 OFFSET :offset
"""
_OF_PARTICIPANTS = "event INDEXED BY event_by_sequence"
CUT_OLDEST_FIRST = _CUT.format(events=_OF_PARTICIPANTS, order="ASC")
CUT_NEWEST_FIRST = _CUT.format(events=_OF_PARTICIPANTS, order="DESC")
CUT_COMPOSITIONS_OLDEST_FIRST = _CUT.format(events="composition_event", order="ASC")
CUT_COMPOSITIONS_NEWEST_FIRST = _CUT.format(events="composition_event", order="DESC")
"""The sequence number of the event at `:offset`."""

SESSIONS_BY_ID = """
SELECT session.start_ms, session.end_ms
FROM session INDEXED BY session_by_id CROSS JOIN stage ON stage.stage_key = session.stage_key
WHERE session.session_id = :session AND stage.account_id = :account AND (:stage = '' OR stage.arn = :stage)
LIMIT 2
"""

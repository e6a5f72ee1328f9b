"""The translation of the statements that read the book from SQLite's form to PostgreSQL's.

What differs:

* Parameters: `:name` and `?` become `%(name)s` and `%s`, which psycopg sends beside the statement. A parameter that is
  compared with NULL gets a type, which PostgreSQL cannot infer there.
* Hints: `INDEXED BY` is left out. SQLite's CROSS JOIN with a condition is an inner join; the session settings make the
  planner choose index searches (`postgres_session.py`).
* Functions: max of several values is `greatest`.
* Statements of which a part means something else have a form of their own in TRANSLATED.

A statement is translated once and then found in a cache: the statements are constants, or made of few parts.
"""

import re
from functools import cache
from types import MappingProxyType
from typing import Final

from stagebook.book.tables import queries, stored_row_keys, table_event_log
from stagebook.book.tables.compositions import composition_reads

LAST_SEQUENCE: Final = """
SELECT greatest(
    (SELECT coalesce(max(last_sequence), 0) FROM sequencer),
    (SELECT coalesce(max(last_sequence), 0) FROM node_run),
    (SELECT coalesce(max(sequence), 0) FROM event),
    (SELECT coalesce(max(sequence), 0) FROM composition_event))
"""
"""As in SQLite, where the time of a session's end is in `sequencer`. Here it is in the row of the run that wrote it."""

_NUMBERS: Final = """
SELECT value::bigint AS value, ordinal FROM json_array_elements_text(%(sequences)s::json)
    WITH ORDINALITY AS element (value, ordinal)
"""
"""SQLite reads `json_each` in the order of the array and looks each number up. Here the order has to be demanded."""


_LIST_REVOCATIONS: Final = """
SELECT stage.arn, revoked.participant_id, stage.stage_key
FROM stage CROSS JOIN LATERAL (
    SELECT participant_id FROM revocation
    WHERE revocation.stage_key = stage.stage_key
        AND participant_id > CASE WHEN stage.stage_key = %(stage)s THEN %(participant)s ELSE '' END
    ORDER BY participant_id LIMIT %(limit)s) AS revoked
WHERE stage.account_id = %(account)s AND stage.deleted_ms IS NULL AND stage.stage_key >= %(stage)s
ORDER BY stage.stage_key, revoked.participant_id LIMIT %(limit)s
"""
"""PostgreSQL sorts the revocations of a stage, however many there are, unless a subquery limits them."""


def _log_at(statement: str) -> str:
    return _general(statement.replace("json_each(:sequences)", f"({_NUMBERS})")) + " ORDER BY number.ordinal"


def _of_accounts(statement: str) -> str:
    """Let PostgreSQL hash the accounts once for a statement, instead of searching all of them for each event.

    IS TRUE keeps the planner from joining the accounts, for which it would have to repeat them for each event.
    """
    condition = r"replace\(:accounts, (\w+)\.account_id, ''\) <> :accounts"
    hashed = r"(\1.account_id IN (SELECT unnest(string_to_array(:accounts, ',')))) IS TRUE"
    return _general(re.sub(condition, hashed, statement))


def _general(statement: str) -> str:
    statement = re.sub(r"\bINDEXED BY \w+", "", statement).replace("CROSS JOIN", "JOIN")
    statement = statement.replace("?", "%s")
    # Not the colons of a cast.
    statement = re.sub(r"(?<!:):(\w+) IS NULL\b", r"%(\1)s::text IS NULL", statement)
    return re.sub(r"(?<!:):([a-z_]\w*)", r"%(\1)s", statement)


TRANSLATED: Final = MappingProxyType(
    {
        queries.LAST_SEQUENCE: LAST_SEQUENCE,
        queries.LIST_REVOCATIONS: _LIST_REVOCATIONS,
        table_event_log.READ_LOG_AT: _log_at(table_event_log.READ_LOG_AT),
        composition_reads.READ_COMPOSITION_LOG_AT: _log_at(composition_reads.READ_COMPOSITION_LOG_AT),
        table_event_log.READ_LOG_OF_ACCOUNTS: _of_accounts(table_event_log.READ_LOG_OF_ACCOUNTS),
        composition_reads.READ_COMPOSITION_LOG_OF_ACCOUNTS: _of_accounts(
            composition_reads.READ_COMPOSITION_LOG_OF_ACCOUNTS
        ),
        stored_row_keys.LAST_KEYS: """
SELECT greatest((SELECT max(last_stage_key) FROM sequencer), (SELECT coalesce(max(stage_key), 0) FROM stage)),
    greatest((SELECT max(last_session_key) FROM sequencer), (SELECT coalesce(max(session_key), 0) FROM session))
""",
        stored_row_keys.LAST_COMPOSITION_KEY: "SELECT coalesce(max(composition_key), 0) FROM composition",
    }
)
"""Statements that are more than their parameters apart, by their form for SQLite."""


@cache
def translated(statement: str) -> str:
    """Return a statement that reads in PostgreSQL's form, with the parameters in the form of psycopg."""
    return TRANSLATED.get(statement) or _general(statement)

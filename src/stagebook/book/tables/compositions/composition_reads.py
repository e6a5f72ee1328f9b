"""Reads of compositions and their events, on the connection of a reader of the book.

A list that is limited to what ended lately is a range of an index over `end_ms`: its cost does not depend on how many
compositions have ended before. The history is read along the keys of all, of an account, or of a stage.
"""

from collections.abc import Callable
from typing import TypeVar

from stagebook.book.book_values import Page
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.composition_reader import CompositionFilter
from stagebook.book.tables.compositions.composition_rows import (
    NOT_ENDED_MS,
    composition_value,
    logged_composition_event,
)
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import UNDECODABLE, Cell, TableConnection
from stagebook.stage.composition.composition import Composition

_Value = TypeVar("_Value")

COMPOSITIONS_PER_PAGE = 500
"""How many compositions a page looks at: a few milliseconds."""

GET_COMPOSITION = "SELECT value FROM composition WHERE arn = :arn"
LIST_LATE_COMPOSITIONS = """
SELECT value, composition_key FROM composition INDEXED BY composition_of_account_by_end
WHERE account_id = :account AND end_ms > :ended_after AND composition_key < :after
    AND (:stage IS NULL OR stage_arn = :stage)
ORDER BY composition_key DESC LIMIT :limit
"""
_COMPOSITIONS = """
SELECT value, composition_key FROM composition
WHERE {where} composition_key < :after ORDER BY composition_key DESC LIMIT :limit
"""
LIST_COMPOSITIONS = _COMPOSITIONS.format(where="")
LIST_COMPOSITIONS_OF_ACCOUNT = _COMPOSITIONS.format(where="account_id = :account AND")
LIST_COMPOSITIONS_OF_STAGE = _COMPOSITIONS.format(
    where="stage_arn = :stage AND (:account IS NULL OR account_id = :account) AND"
)
LIST_OPEN_COMPOSITIONS = """
SELECT value FROM composition WHERE end_ms = :not_ended AND (:account IS NULL OR account_id = :account)
ORDER BY composition_key
"""
LIST_ENDED_COMPOSITIONS = """
SELECT value FROM composition
WHERE end_ms > :after AND end_ms < :not_ended AND (:account IS NULL OR account_id = :account)
ORDER BY composition_key
"""
_LOGGED_COMPOSITION_EVENT = """
SELECT composition.account_id, composition.stage_arn, composition.arn, composition_event.sequence,
    composition_event.name, composition_event.destination_id, composition_event.error_code, composition_event.cause
FROM {events}
"""


def logged_composition_events(events: str) -> str:
    """Return the beginning of a statement that reads events as `logged_composition_event` takes them."""
    return _LOGGED_COMPOSITION_EVENT.format(events=events)


_KEY_OF_COMPOSITION = "(SELECT composition_key FROM composition WHERE arn = :arn)"
LIST_COMPOSITION_EVENTS = (
    logged_composition_events("composition_event CROSS JOIN composition USING (composition_key)")
    + "WHERE composition_event.composition_key = "
    + _KEY_OF_COMPOSITION
    + " AND composition_event.sequence > :after ORDER BY composition_event.sequence LIMIT :limit"
)
READ_COMPOSITION_LOG = (
    logged_composition_events("composition_event CROSS JOIN composition USING (composition_key)")
    + "WHERE composition_event.sequence > :after ORDER BY composition_event.sequence LIMIT :limit"
)
READ_COMPOSITION_LOG_OF_ACCOUNTS = (
    _LOGGED_COMPOSITION_EVENT.format(events="composition_event CROSS JOIN composition USING (composition_key)")
    + """
WHERE composition_event.sequence > :after AND replace(:accounts, composition.account_id, '') <> :accounts
ORDER BY composition_event.sequence LIMIT :limit
"""
)
READ_COMPOSITION_LOG_OF_ACCOUNT = (
    _LOGGED_COMPOSITION_EVENT.format(events="composition_event CROSS JOIN composition USING (composition_key)")
    + """
WHERE composition_event.sequence > :after AND composition_event.sequence <= :until
    AND composition.account_id = :account
ORDER BY composition_event.sequence LIMIT :limit
"""
)
READ_COMPOSITION_LOG_BEFORE = (
    logged_composition_events("composition_event CROSS JOIN composition USING (composition_key)")
    + "WHERE composition_event.sequence < :before ORDER BY composition_event.sequence DESC LIMIT :limit"
)
READ_COMPOSITION_LOG_AT = logged_composition_events(
    "json_each(:sequences) AS number CROSS JOIN composition_event ON composition_event.sequence = number.value"
    " CROSS JOIN composition USING (composition_key)"
)


class TableCompositions:
    """Implements `CompositionReader`. Only the thread of the connection may use it."""

    def __init__(self, connection: TableConnection) -> None:
        self._connection = connection

    def find(self, arn: str) -> Composition | None:
        """Return a composition; None if there is none."""
        found = self._read(composition_value, GET_COMPOSITION, arn=arn)
        return found[0] if found else None

    def page(self, where: CompositionFilter, *, after: int | None, limit: int) -> Page[Composition]:
        """Return a page of the compositions that match, newest first."""
        examined = max(limit + 1, 1 if where.configuration_arn is None else COMPOSITIONS_PER_PAGE)
        rows = self._read(
            lambda row: (composition_value(row), row[1]),
            _statement(where),
            account=where.account_id,
            stage=where.stage_arn,
            ended_after=where.ended_after_ms,
            after=NOT_ENDED_MS if after is None else after,
            limit=examined,
        )
        arn = where.configuration_arn
        matching = [each for each in rows if arn is None or arn in each[0].configuration_arns]
        items = matching[:limit]
        position: int | None = None
        if len(matching) > limit:
            position = items[-1][1]
        elif len(rows) == examined:
            position = rows[-1][1]
        return Page(items=[composition for composition, _ in items], next_position=position)

    def list_open(self, *, account_id: str | None = None) -> list[Composition]:
        """Return every composition that has not ended, in order of creation."""
        return self._read(composition_value, LIST_OPEN_COMPOSITIONS, account=account_id, not_ended=NOT_ENDED_MS)

    def list_ended_after(self, time_ms: int, *, account_id: str | None = None) -> list[Composition]:
        """Return every composition that ended after a time in ms since the epoch."""
        return self._read(
            composition_value, LIST_ENDED_COMPOSITIONS, account=account_id, after=time_ms, not_ended=NOT_ENDED_MS
        )

    def page_events(self, arn: str, *, after: int | None, limit: int) -> Page[LoggedCompositionEvent]:
        """Return a page of the events of a composition, oldest first."""
        events = self._read(
            logged_composition_event, LIST_COMPOSITION_EVENTS, arn=arn, after=after or 0, limit=limit + 1
        )
        shown = events[:limit]
        return Page(items=shown, next_position=shown[-1].sequence if len(events) > limit else None)

    def _read(self, make: Callable[[Row], _Value], statement: str, **parameters: Cell) -> list[_Value]:
        try:
            return [make(row) for row in self._connection.rows(statement, parameters)]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error


def _statement(where: CompositionFilter) -> str:
    if where.ended_after_ms is not None and where.account_id is not None:
        return LIST_LATE_COMPOSITIONS
    if where.stage_arn is not None:
        return LIST_COMPOSITIONS_OF_STAGE
    return LIST_COMPOSITIONS if where.account_id is None else LIST_COMPOSITIONS_OF_ACCOUNT

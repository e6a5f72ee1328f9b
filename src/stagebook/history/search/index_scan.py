"""Compares a search index with its book, event by event, without changing either.

The index may be behind the book, and may still have entries of sessions that were deleted by age: the next search adds
and removes those. Up to its position it must have each event, with the values of the book. The user of an entry is not
compared: a search compares it with the book, which has the last word.
"""

from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec

from stagebook.history.search import index_schema
from stagebook.history.search.index_schema import COMPOSITION_CODES

_DIFFERENT = """
SELECT event.sequence, stage.arn, session.session_id, participant.participant_id, entry.sequence IS NULL
FROM book.event INDEXED BY event_by_sequence
    CROSS JOIN book.session ON session.session_key = event.session_key
    CROSS JOIN book.stage ON stage.stage_key = session.stage_key
    CROSS JOIN book.participant ON participant.session_key = event.session_key
        AND participant.number = event.participant_number
    LEFT JOIN main.entry ON entry.sequence = event.sequence
    LEFT JOIN main.participant AS known ON known.participant_key = entry.participant_key
    LEFT JOIN main.account ON account.account_key = entry.account_key
WHERE event.sequence <= :position AND (entry.sequence IS NULL
    OR (entry.stage_key, entry.session_key, entry.name) <> (session.stage_key, event.session_key, event.name)
    OR entry.error_code IS NOT event.error_code OR entry.cause IS NOT event.cause
    OR known.participant_id IS NOT participant.participant_id OR account.account_id IS NOT stage.account_id)
ORDER BY event.sequence
"""
_DIFFERENT_OF_COMPOSITIONS = f"""
SELECT event.sequence, composition.stage_arn, composition.arn, entry.sequence IS NULL
FROM book.composition_event AS event
    CROSS JOIN book.composition ON composition.composition_key = event.composition_key
    LEFT JOIN book.stage ON stage.arn = composition.stage_arn
    LEFT JOIN main.entry ON entry.sequence = event.sequence
    LEFT JOIN main.account ON account.account_key = entry.account_key
WHERE event.sequence <= :position AND (entry.sequence IS NULL
    OR (entry.composition_key, entry.name) IS NOT (event.composition_key, event.name + {COMPOSITION_CODES})
    OR entry.stage_key <> coalesce(stage.stage_key, entry.stage_key)
    OR entry.error_code IS NOT event.error_code + {COMPOSITION_CODES}
    OR entry.cause IS NOT event.cause + {COMPOSITION_CODES} OR account.account_id IS NOT composition.account_id)
ORDER BY event.sequence
"""  # noqa: S608 - a constant
_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOMUTEX
_BUSY_TIMEOUT_MS = 5_000


class IndexDifference(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the book that the index lacks, or has with other values.

    An event of a composition has the ARN of it in place of the ids of a session and a participant.
    """

    sequence: int
    stage_arn: str
    session_id: str = ""
    participant_id: str = ""
    composition_arn: str = ""
    is_missing: bool


class IndexUnreadableError(Exception):
    """SQLite cannot read the file of the index."""


def index_differences(path: Path, *, book_path: Path) -> Iterator[IndexDifference]:
    """Yield the differences of the index at `path`, in the order of the events. Raises IndexUnreadableError.

    There are none without an index, and none of an index of another version: the server makes it anew.
    """
    if not path.exists():
        return
    try:
        connection = apsw.Connection(f"{path.absolute().as_uri()}?mode=ro", flags=_FLAGS)
        try:
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            if connection.pragma("user_version") != index_schema.VERSION:
                return
            connection.execute("ATTACH ? AS book", (f"{book_path.absolute().as_uri()}?mode=ro",)).fetchall()
            connection.execute("BEGIN").fetchall()
            position = connection.execute(index_schema.LAST_SEQUENCE).fetchall()[0][0]
            for sequence, *ids, is_missing in connection.execute(_DIFFERENT, {"position": position}):
                stage_arn, session_id, participant_id = map(str, ids)
                yield IndexDifference(
                    sequence=sequence,
                    stage_arn=stage_arn,
                    session_id=session_id,
                    participant_id=participant_id,
                    is_missing=bool(is_missing),
                )
            for sequence, stage_arn, arn, is_missing in connection.execute(
                _DIFFERENT_OF_COMPOSITIONS, {"position": position}
            ):
                yield IndexDifference(
                    sequence=sequence, stage_arn=stage_arn, composition_arn=arn, is_missing=bool(is_missing)
                )
        finally:
            connection.close()
    except (apsw.Error, UnicodeDecodeError, LookupError) as error:
        raise IndexUnreadableError(f"{path} cannot be read: {error}") from error

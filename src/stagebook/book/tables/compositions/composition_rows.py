"""The conversion of compositions and their events to rows and back. The forms of cells are those of `rows.py`."""

from typing import Final

import msgspec

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.tables.rows import Row
from stagebook.stage.composition.composition import Composition
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)

NOT_ENDED_MS: Final = (1 << 63) - 1
"""The end of a composition that has not ended, as column `end_ms` has it."""

COMPOSITION_EVENT_NAMES = tuple(CompositionEventName)
COMPOSITION_ERROR_CODES = tuple(CompositionErrorCode)
COMPOSITION_CAUSES = tuple(CompositionCause)
COMPOSITION_NAME_CODE = {member: code for code, member in enumerate(COMPOSITION_EVENT_NAMES)}
COMPOSITION_ERROR_CODE_CODE: dict[CompositionErrorCode | None, int | None] = {None: None} | {
    member: code for code, member in enumerate(COMPOSITION_ERROR_CODES)
}
COMPOSITION_CAUSE_CODE: dict[CompositionCause | None, int | None] = {None: None} | {
    member: code for code, member in enumerate(COMPOSITION_CAUSES)
}

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Composition).decode


def composition_row(composition_key: int, composition: Composition) -> Row:
    """Return the row of a composition for table `composition`."""
    return (
        composition_key,
        composition.arn,
        composition.account_id,
        composition.stage_arn,
        composition.start_ms,
        NOT_ENDED_MS if composition.end_ms is None else composition.end_ms,
        _encode(composition).decode(),
    )


def composition_value(row: Row) -> Composition:
    """Return the composition of a row that holds only its JSON value."""
    return _decode(row[0])


def composition_event_row(composition_key: int, sequence: int, event: CompositionEvent) -> Row:
    """Return the row of an event for table `composition_event`."""
    return (
        sequence,
        composition_key,
        COMPOSITION_NAME_CODE[event.name],
        event.destination_id,
        COMPOSITION_ERROR_CODE_CODE[event.error_code],
        COMPOSITION_CAUSE_CODE[event.cause],
    )


def logged_composition_event(row: Row) -> LoggedCompositionEvent:
    """Return the event of a row: account, stage, composition, sequence, name, destination, error code, cause."""
    account_id, stage_arn, composition_arn, sequence, name, destination_id, error_code, cause = row
    return LoggedCompositionEvent(
        account_id=account_id,
        stage_arn=stage_arn,
        composition_arn=composition_arn,
        sequence=sequence,
        event=CompositionEvent(
            name=COMPOSITION_EVENT_NAMES[name],
            destination_id=destination_id,
            error_code=None if error_code is None else COMPOSITION_ERROR_CODES[error_code],
            cause=None if cause is None else COMPOSITION_CAUSES[cause],
        ),
    )

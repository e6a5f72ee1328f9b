"""The columns of an export as a table: the members of both kinds of events.

Those of participants' events come first, in the order of `EventDocument`; those that only events of compositions have
follow. A member that the document of an event does not have is empty.
"""

import msgspec

from stagebook.history.composition_document import CompositionEventDocument
from stagebook.history.event_document import EventDocument

_OF_PARTICIPANTS = msgspec.structs.fields(EventDocument)
_OF_COMPOSITIONS = msgspec.structs.fields(CompositionEventDocument)
_NAMES = frozenset(field.name for field in _OF_PARTICIPANTS)

COLUMNS: tuple[msgspec.structs.FieldInfo, ...] = (
    *_OF_PARTICIPANTS,
    *(field for field in _OF_COMPOSITIONS if field.name not in _NAMES),
)
REQUIRED: frozenset[str] = frozenset(
    field.name
    for field in _OF_PARTICIPANTS
    if field.required and field.name in {each.name for each in _OF_COMPOSITIONS}
)
"""The names of the members that each event has."""

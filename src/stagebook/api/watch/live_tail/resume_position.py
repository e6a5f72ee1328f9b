"""Where an event stream begins: after the event of `Last-Event-ID`, at the time `since`, or with what happens next."""

from typing import Annotated

import msgspec

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.watch.event_parameters import EventParameters
from stagebook.book.event_id import sequence_of_event

HEADER = b"last-event-id"
_ID_LENGTH = 36
_RULE = "must be the id of an event or a position of this server, as `id` in the stream, or be left out"

EventIdParameter = Annotated[
    str,
    msgspec.Meta(
        max_length=_ID_LENGTH,
        description="As the header field Last-Event-ID, which takes precedence: for clients that cannot send it.",
    ),
]


class StreamParameters(EventParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of the event stream."""

    last_event_id: EventIdParameter | None = None
    last_event_id_of_polyfill: EventIdParameter | None = msgspec.field(default=None, name="lastEventId")


def given_event_id(header: bytes | None, parameters: StreamParameters) -> str | None:
    """Return the id from which a client resumes, None if it does not.

    When a browser connects again it repeats the URL, so the header field is the newer of the two. An empty id means
    that the client has none (WHATWG HTML, "The Last-Event-ID header").
    """
    text = None if header is None else header.decode("latin-1")
    return text or parameters.last_event_id or parameters.last_event_id_of_polyfill or None


def resumed_sequence(text: str, *, last_sequence: int) -> int:
    """Return the sequence number of an id. `last_sequence` is the newest one of the book.

    Raises ApiRefusedError 400 for what is no id, and for an id that is newer than the book.
    """
    try:
        sequence = sequence_of_event(text) if len(text) == _ID_LENGTH else None
    except ValueError:
        sequence = None
    if sequence is None or sequence > last_sequence:
        raise unknown_event_id()
    return sequence


def unknown_event_id() -> ApiRefusedError:
    """Return the refusal of an id that does not belong to this book."""
    return ApiRefusedError(status=400, code=ApiProblemCode.INVALID_PARAMETER, detail=f"Last-Event-ID: {_RULE}")

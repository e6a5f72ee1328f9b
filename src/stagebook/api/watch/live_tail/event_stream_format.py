r"""The bytes of an event stream (WHATWG HTML, section "Server-sent events").

    retry: 1730\nid: <position id>\n\n   once: how long a browser waits before it connects again, and where the stream
                                       begins: a client that is cut before the first event resumes from there
    id: <event id>\ndata: <JSON>\n\n      an event, with its document: `history/event_document.py`, or for
                                       compositions `history/composition_document.py`
    id: <position id>\n\n                 the stream was read so far: sets the last event id and dispatches no event
    :\n                                   a comment, which keeps the connection alive
    event: disconnect\n ...               the last message of a stream that the server ends

Events have no `event` field, so `EventSource.onmessage` gets all of them, whatever their name, and a client needs no
list of names. A position id has the form of an event id, and a client resumes from it in the same way: it saves reading
again what a filter has left out.
"""

from enum import StrEnum

import msgspec

from stagebook.api.asgi import Header
from stagebook.book.composition_log import LogEntry
from stagebook.book.event_id import position_id
from stagebook.history.composition_document import entry_document

CONTENT_TYPE = "text/event-stream"
HEADERS: tuple[Header, ...] = (
    (b"content-type", CONTENT_TYPE.encode("ascii")),
    (b"cache-control", b"no-store"),
    # nginx buffers responses, unless it is told not to for this one.
    (b"x-accel-buffering", b"no"),
)
HEARTBEAT = b":\n"


class DisconnectCode(StrEnum):
    """Why the server ends a stream."""

    TOO_SLOW = "TOO_SLOW"
    STOPPING = "STOPPING"
    ACCESS_ENDED = "ACCESS_ENDED"
    BUSY = "BUSY"
    FAILED = "FAILED"


_DETAILS = {
    DisconnectCode.TOO_SLOW: "events arrived faster than they were read: connect again to read on",
    DisconnectCode.STOPPING: "the server is stopping: connect again to read on",
    DisconnectCode.ACCESS_ENDED: "the credentials are not valid any more",
    DisconnectCode.BUSY: "the server has too many reads to do: connect again to read on",
    DisconnectCode.FAILED: "the server failed; its log has the reason",
}


class Disconnect(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the message `disconnect`."""

    code: DisconnectCode
    detail: str


def opening_message(*, retry_ms: int, position: int) -> bytes:
    """Return the first message of a stream that begins after a sequence number."""
    return b"retry: %d\n%s" % (retry_ms, position_message(position))


def event_message(logged: LogEntry) -> bytes:
    """Return the message of an event. Its JSON has no line breaks."""
    document = entry_document(logged)
    return b"id: %s\ndata: %s\n\n" % (document.id.encode("ascii"), msgspec.json.encode(document))


def position_message(sequence: int) -> bytes:
    """Return the message that says that everything up to a sequence number was sent or left out by the filter."""
    return b"id: %s\n\n" % position_id(sequence).encode("ascii")


def disconnect_message(end: DisconnectCode, *, position: int) -> bytes:
    """Return the last message of a stream, with the position from which the client can resume."""
    data = msgspec.json.encode(Disconnect(code=end, detail=_DETAILS[end]))
    return b"event: disconnect\nid: %s\ndata: %s\n\n" % (position_id(position).encode("ascii"), data)

"""Reading the past of the tail: a bounded page of the event log, filtered and encoded in a history process."""

import msgspec

from stagebook.api.watch.live_tail.event_stream_format import event_message
from stagebook.api.watch.live_tail.live_reader import PART_SIZE_BYTES, stream_parts
from stagebook.history.event_query import EventFilter
from stagebook.history.history_files import HistoryFiles

PAGE_EVENTS = 1_000
"""Events that are examined for one page."""
PAGE_SIZE_BYTES = 2 * PART_SIZE_BYTES
"""About how large a page is. It is held in memory while its reader takes it."""


class UnknownEventError(Exception):
    """The book has another event at the position of an id."""


class TailPage(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of events in order.

    `position` is the sequence number up to which the log was examined, and `last_sent` that of the last message.
    `is_last` means that the log had no more events.
    """

    parts: tuple[bytes, ...]
    position: int
    last_sent: int
    is_last: bool


def read_tail_page(files: HistoryFiles, after: int, where: EventFilter, *, resumed_id: str | None = None) -> TailPage:
    """Return the events after `after` that match.

    `resumed_id` is the event id that `after` was taken from. Raises UnknownEventError if the book has another event
    there; one that was deleted since is none.
    """
    if resumed_id is not None:
        _require_event(files, resumed_id, after, account_id=where.account_id)
    messages: list[tuple[int, bytes]] = []
    position, size_bytes = after, 0
    examined = files.log.read_after(after, limit=PAGE_EVENTS)
    for logged in examined:
        position = logged.sequence
        if where.matches(logged):
            message = event_message(logged)
            messages.append((position, message))
            size_bytes += len(message)
            if size_bytes >= PAGE_SIZE_BYTES:
                break
    return TailPage(
        parts=tuple(part.data for part in stream_parts(messages)),
        position=position,
        last_sent=messages[-1][0] if messages else after,
        is_last=len(examined) < PAGE_EVENTS and size_bytes < PAGE_SIZE_BYTES,
    )


def _require_event(files: HistoryFiles, text: str, sequence: int, *, account_id: str | None) -> None:
    found = files.log.read_after(sequence - 1, limit=1)
    # Whether other accounts have an event there is none of the caller's business.
    if found and found[0].sequence == sequence and found[0].account_id == account_id and text != found[0].event_id:
        raise UnknownEventError

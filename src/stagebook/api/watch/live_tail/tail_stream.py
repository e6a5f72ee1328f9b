"""One event stream: where it begins, the past from there, and the live events after it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

import msgspec
import structlog

from stagebook.api.routes.reader_places import ReaderPlace
from stagebook.api.watch.live_tail.event_stream_format import (
    DisconnectCode,
    disconnect_message,
    opening_message,
    position_message,
)
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.api.watch.live_tail.resume_position import resumed_sequence, unknown_event_id
from stagebook.api.watch.live_tail.tail_page import TailPage, UnknownEventError
from stagebook.book.book_errors import BookFailedError
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.event_id import position_id
from stagebook.history.event_query import EventFilter
from stagebook.stage.errors import ServerBusyError

ReadPage: TypeAlias = Callable[[int, EventFilter, str | None], Awaitable[TailPage]]
"""Reads a page: see `read_tail_page`. Raises ServerBusyError and BookFailedError."""

_log = structlog.get_logger(__name__)


class TailStream:
    """Produces the messages of one stream, which has a place and a live reader until it is closed."""

    __slots__ = ("_first_page", "_live", "_place", "_position", "_read", "_reader")

    def __init__(
        self,
        where: EventFilter,
        *,
        live: LiveEvents,
        read: ReadPage,
        place: ReaderPlace,
        check_access: Callable[[], None],
    ) -> None:
        """`check_access` raises ApiRefusedError when the client may not read any more."""
        self._live = live
        self._read = read
        self._place = place
        try:
            self._reader = live.open_reader(where, check_access=check_access)
        except BaseException:
            place.give_back()
            raise
        self._position = live.position
        self._first_page: TailPage | None = None

    async def begin_after_event(self, event_id: str) -> None:
        """Begin after an event, or after a position. Raises ApiRefusedError 400 if the book cannot have issued it."""
        self._position = resumed_sequence(event_id, last_sequence=self._live.last_sequence())
        if event_id == position_id(self._position):
            return
        if self._live.remembers(self._position):
            logged = self._live.find_recent(self._position)
            if logged and logged.account_id == self._reader.where.account_id and logged.event_id != event_id:
                raise unknown_event_id()
            return
        try:
            self._first_page = await self._next_page(event_id)
        except UnknownEventError:
            raise unknown_event_id() from None

    def begin_at_time(self, time_ms: int) -> None:
        """Begin with the events of a time in milliseconds since the epoch."""
        self._position = min(max((time_ms << SEQUENCE_TIME_SHIFT) - 1, 0), self._live.last_sequence())

    def close(self) -> None:
        """Give the place and the reader back. `messages` does it at its end."""
        self._live.close_reader(self._reader)
        self._place.give_back()

    async def messages(self, *, retry_ms: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the stream until it ends, and close it."""
        try:
            yield opening_message(retry_ms=retry_ms, position=self._position)
            async with aclosing(self._past()) as past:
                async for part in past:
                    yield part
            reader = self._reader
            while (part := reader.take()) or reader.end is None:
                if part:
                    yield part
                else:
                    await reader.wait()
            yield disconnect_message(reader.end, position=reader.sent_position)
        finally:
            self.close()

    async def _past(self) -> AsyncGenerator[bytes, None]:
        """Yield what is older than what the live readers remember, until the reader has joined them or has ended."""
        reader = self._reader
        while reader.end is None and not self._live.join(reader, self._position):
            try:
                page, self._first_page = self._first_page or await self._next_page(), None
            except ServerBusyError:
                reader.finish(DisconnectCode.BUSY)
                break
            except BookFailedError as error:
                _log.error("an event stream cannot read the book", exc_info=error)
                reader.finish(DisconnectCode.FAILED)
                break
            for part in page.parts:
                yield part
            self._position = reader.sent_position = page.position
            if page.position > page.last_sent:
                yield position_message(page.position)
        if reader.end is not None:
            reader.sent_position = self._position

    async def _next_page(self, resumed_id: str | None = None) -> TailPage:
        visible = self._live.position
        page = await self._read(self._position, self._reader.where, resumed_id)
        if page.is_last and page.position < visible:
            # The sequence numbers up to here that are no events are ends of sessions, or events that were deleted.
            return msgspec.structs.replace(page, position=visible)
        return page

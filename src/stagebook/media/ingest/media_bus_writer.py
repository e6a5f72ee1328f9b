"""The ingest process's end of a feed: a forwarder's unix socket, to which one encoder's media is written."""

import asyncio
from typing import Final

import msgspec

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, FeedTicket, Hello, Unit
from stagebook.media.worker.framing import frame

MAX_WAITING_BYTES: Final = 8 << 20
"""What waits for a forwarder that does not read: seconds of the highest bitrate."""


class FeedLostError(Exception):
    """The forwarder is gone, or does not read."""


class FeedWriter:
    """An open feed. Whether the forwarder is still there is found out by writing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._watching = asyncio.create_task(self._watch(reader))

    @classmethod
    async def open(cls, ticket: FeedTicket, *, video_parameters: str, timeout_seconds: float) -> "FeedWriter":
        """Connect and say Hello. Raises FeedLostError."""
        try:
            async with asyncio.timeout(timeout_seconds):
                reader, writer = await asyncio.open_unix_connection(ticket.path)
        except OSError as error:  # a TimeoutError is one
            raise FeedLostError(f"no connection to the forwarder: {error}") from error
        feed = cls(reader, writer)
        feed._write(Hello(token=ticket.token, video_parameters=video_parameters))
        return feed

    def write(self, unit: Unit) -> None:
        """Queue a unit. Raises FeedLostError."""
        if self._watching.done() or self._writer.is_closing():
            raise FeedLostError("the forwarder closed the feed")
        if self._writer.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            raise FeedLostError("the forwarder does not read")
        self._write(unit)

    def close(self) -> None:
        """Close the feed. What the forwarder has not taken by now is of no use to it: the stream has ended."""
        self._watching.cancel()
        self._writer.transport.abort()

    def _write(self, message: msgspec.Struct) -> None:
        self._writer.write(frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES))

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        """A forwarder says nothing on a feed; whatever is read here is its end."""
        try:
            await reader.read(1)
        except OSError:
            return

"""An ingest process's end of the media bus: one unix socket connection per encoder, to which its units are written.

A loss of the engine is detected in two ways: the connection ends, or too many bytes wait to be sent because the engine
does not read. Both raise FeedLostError at the next `write`.
"""

import asyncio
from typing import Final

import msgspec

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, FeedTicket, Hello, Unit
from stagebook.media.worker.framing import frame

MAX_UNSENT_BYTES: Final = 8 << 20
"""Maximum number of bytes that wait to be sent: several seconds at the maximum bitrate."""


class FeedLostError(Exception):
    """The engine is gone or does not read."""


class FeedWriter:
    """An open feed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._end_watcher = asyncio.create_task(self._wait_for_end(reader))

    @classmethod
    async def open(
        cls, ticket: FeedTicket, *, video_parameters: str, video_tracks: int = 1, timeout_seconds: float
    ) -> "FeedWriter":
        """Connect to the engine and send the Hello. Raises FeedLostError."""
        try:
            async with asyncio.timeout(timeout_seconds):
                reader, writer = await asyncio.open_unix_connection(ticket.path)
        except OSError as error:  # TimeoutError is an OSError
            raise FeedLostError(f"cannot connect to the engine: {error}") from error
        feed = cls(reader, writer)
        feed._send(Hello(token=ticket.token, video_parameters=video_parameters, video_tracks=video_tracks))
        return feed

    def write(self, unit: Unit) -> None:
        """Queue a unit to be sent. Raises FeedLostError.

        It never waits: an engine that falls behind is a fault, and an encoder must not be slowed down for it, because
        the media would only become older. Its buffer of MAX_UNSENT_BYTES bridges short pauses.
        """
        if self._end_watcher.done() or self._writer.is_closing():
            raise FeedLostError("the engine closed the feed")
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            raise FeedLostError("the engine does not read the feed")
        self._send(unit)

    def close(self) -> None:
        """Close the feed. Queued units are dropped: the stream has ended, and its viewers are disconnected."""
        self._end_watcher.cancel()
        self._writer.transport.abort()

    def _send(self, message: msgspec.Struct) -> None:
        # The transport keeps a reference to the frame until it is sent, so each message has a buffer of its own.
        self._writer.write(frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES))

    async def _wait_for_end(self, reader: asyncio.StreamReader) -> None:
        """Wait until the connection ends. The engine sends nothing, so a read returns only then."""
        try:
            await reader.read(1)
        except OSError:
            return

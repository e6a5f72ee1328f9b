"""The media of one admitted encoder: through the pipeline, at the encoder's own pace, to the engine's feed.

The stream has two deadlines. Until the feed is open, audio and video must become complete within
`media_timeout_seconds`. At any time, a message must be received within `silence_timeout_seconds`.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.media_bus_writer import FeedWriter
from stagebook.media.ingest.pipeline.media_pipeline import MediaPipeline, StreamDamage
from stagebook.media.ingest.read_pacing import MAX_MESSAGES_PER_SECOND, CountPace, TimestampPace
from stagebook.media.ingest.stream_end import StreamEnd, StreamEndedError
from stagebook.media.media_bus import FeedTicket, Unit
from stagebook.media.port import CloseCause, IngestFault

_FEED_TIMEOUT_SECONDS: Final = 5.0
"""How long the engine may take to accept the feed's connection. It runs on the same machine."""


class EncoderStream:
    """Processes media messages. It opens the feed with the first units, when both tracks are known."""

    def __init__(
        self,
        ticket: FeedTicket,
        settings: IngestSettings,
        *,
        clock: Callable[[], float],
        log: structlog.typing.FilteringBoundLogger | None = None,
    ) -> None:
        """`clock` is the event loop's. `log` is bound to the connection."""
        self._ticket = ticket
        self._settings = settings
        self._clock = clock
        self._pipeline = MediaPipeline(clock=clock, log=log)
        self._paces = {kind: TimestampPace(max_ahead_seconds=settings.max_buffer_seconds) for kind in MediaKind}
        self._rate = CountPace(max_per_second=MAX_MESSAGES_PER_SECOND)
        self._feed: FeedWriter | None = None
        self._complete_deadline = clock() + settings.media_timeout_seconds
        self._received_at = clock()

    @property
    def deadline(self) -> float:
        """The clock's time until which the next message must be received."""
        silence_deadline = self._received_at + self._settings.silence_timeout_seconds
        return silence_deadline if self._feed is not None else min(silence_deadline, self._complete_deadline)

    @property
    def damage(self) -> StreamDamage:
        """What was wrong with the stream so far and did not end it."""
        return self._pipeline.damage

    def timed_out(self) -> StreamEnd:
        """Return the end of a stream whose deadline has passed."""
        missing = self._pipeline.missing()
        if missing is not None and self._clock() >= self._complete_deadline:
            timeout = self._settings.media_timeout_seconds
            return StreamEnd(detail=f"{missing} after {timeout:g} s", fault=IngestFault.INPUT)
        timeout = self._settings.silence_timeout_seconds
        return StreamEnd(detail=f"no media came for {timeout:g} s", cause=CloseCause.CONSENT_LOST)

    async def process(self, kind: MediaKind, *, timestamp_ms: int, payload: bytes | bytearray) -> None:
        """Process one message, and sleep if the encoder sends faster than its own timestamps.

        Raises InputFaultError, FeedLostError and StreamEndedError.
        """
        if self._feed is None and self._clock() >= self._complete_deadline:
            # A track that never stops would otherwise keep an incomplete stream alive.
            raise StreamEndedError(self.timed_out())
        process = self._pipeline.process_video if kind is MediaKind.VIDEO else self._pipeline.process_audio
        units = process(timestamp_ms=timestamp_ms, payload=payload)
        if units:
            await self._write(units)
        now = self._clock()
        pause = max(self._paces[kind].pause_seconds(timestamp_ms, now=now), self._rate.pause_seconds(now=now))
        if pause:
            await asyncio.sleep(pause)
        # After the pause: an encoder that is held back by its own pace is not silent.
        self._received_at = self._clock()

    def close(self) -> None:
        """Close the feed."""
        if self._feed is not None:
            self._feed.close()

    async def _write(self, units: list[Unit]) -> None:
        if self._feed is None:
            parameters = self._pipeline.video_parameters
            if parameters is None:
                raise AssertionError("the pipeline returned units before the video was configured")
            self._feed = await FeedWriter.open(
                self._ticket,
                video_parameters=parameters,
                video_tracks=self._pipeline.video_tracks,
                timeout_seconds=_FEED_TIMEOUT_SECONDS,
            )
        for unit in units:
            self._feed.write(unit)

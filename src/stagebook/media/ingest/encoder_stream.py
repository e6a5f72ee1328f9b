"""One admitted encoder's media on its way to the forwarder: through the pipeline, at its own speed, into the feed.

Knows no RTMP and no connection: it is given tags with their timestamps, and says until when it waits for the next.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.media_bus_writer import FeedWriter
from stagebook.media.ingest.pipeline.media_pipeline import Pipeline
from stagebook.media.ingest.read_pacing import MessageRate, Pace
from stagebook.media.ingest.stream_end import EndedError, Ending
from stagebook.media.media_bus import FeedTicket, Unit
from stagebook.media.port import CloseCause, IngestFault

_FEED_SECONDS: Final = 5.0
"""How long the forwarder has to take the connection. It is on the same machine."""


class Stream:
    """Tags in, units out. The feed opens when both tracks are known."""

    def __init__(self, ticket: FeedTicket, settings: IngestSettings, *, clock: Callable[[], float]) -> None:
        self._ticket = ticket
        self._settings = settings
        self._clock = clock
        self._pipeline = Pipeline()
        self._paces = {kind: Pace(max_ahead_seconds=settings.max_buffer_seconds) for kind in MediaKind}
        self._rate = MessageRate()
        self._feed: FeedWriter | None = None
        self._complete_until = clock() + settings.media_timeout_seconds
        self._heard_at = clock()

    @property
    def deadline(self) -> float:
        """Until when, by the clock, the next tag must be there."""
        silent_until = self._heard_at + self._settings.silence_timeout_seconds
        return silent_until if self._feed is not None else min(silent_until, self._complete_until)

    def late(self) -> Ending:
        """How the stream ends when nothing more came until the deadline."""
        missing = self._pipeline.missing()
        if missing is not None and self._clock() >= self._complete_until:
            waited = self._settings.media_timeout_seconds
            return Ending(detail=f"{missing} after {waited:g} s", fault=IngestFault.INPUT)
        waited = self._settings.silence_timeout_seconds
        return Ending(detail=f"no media came for {waited:g} s", cause=CloseCause.CONSENT_LOST)

    async def take(self, kind: MediaKind, *, timestamp_ms: int, payload: bytes) -> None:
        """Take one tag, and wait as long as it came too early. Raises InputFaultError, FeedLostError, EndedError."""
        if self._feed is None and self._clock() >= self._complete_until:
            raise EndedError(self.late())
        work = self._pipeline.video if kind is MediaKind.VIDEO else self._pipeline.audio
        units = work(timestamp_ms=timestamp_ms, payload=payload)
        if units:
            await self._write(units)
        now = self._clock()
        pause = max(self._paces[kind].pause_seconds(timestamp_ms, now=now), self._rate.pause_seconds(now=now))
        if pause:
            await asyncio.sleep(pause)
        self._heard_at = self._clock()

    def close(self) -> None:
        """Close the feed."""
        if self._feed is not None:
            self._feed.close()

    async def _write(self, units: list[Unit]) -> None:
        if self._feed is None:
            parameters = self._pipeline.video_parameters
            if parameters is None:
                raise AssertionError("units of a stream whose video is not known")
            self._feed = await FeedWriter.open(self._ticket, video_parameters=parameters, timeout_seconds=_FEED_SECONDS)
        for unit in units:
            self._feed.write(unit)

"""The relays that an engine sends: one for each pair of a source and another engine that has viewers of it, and one for
each tap."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.media.media_bus import FeedTicket
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.relay.relay_messages import REPLY_DECODER, TapEndAsked
from stagebook.media.rtc.sfu.relay.source_relay import SourceRelay
from stagebook.media.worker.framing import BrokenStreamError, MessageReader

CONNECT_SECONDS: Final = 5.0
_MAX_REPLY_BYTES: Final = 64

_replies = MessageReader(REPLY_DECODER, max_bytes=_MAX_REPLY_BYTES)
_log = structlog.get_logger(__name__)


class RelaySenders:
    """The tasks of all relays to other engines."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._clock = clock
        self._tasks: dict[asyncio.Task[None], MediaSource] = {}
        self._taps: dict[asyncio.Task[None], SourceRelay] = {}
        """The open relays of taps, by their tasks."""

    def start(
        self, source: MediaSource, ticket: FeedTicket, *, is_tap: bool = False, feed: EncoderFeed | None = None
    ) -> None:
        """Connect to the process of a ticket, and relay the source, or one feed of it, until either side ends it."""
        task = asyncio.create_task(self._run(source, ticket, is_tap=is_tap, relayed=feed or source))
        self._tasks[task] = source
        task.add_done_callback(self._tasks.pop)

    def end_source(self, source: MediaSource) -> None:
        """End all relays of a source. Taps get what was received first."""
        for task, relayed in self._tasks.items():
            if relayed is not source:
                continue
            if task in self._taps:
                self._taps[task].finish()
            else:
                task.cancel()

    async def stop(self) -> None:
        """End all relays."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(
        self, source: MediaSource, ticket: FeedTicket, *, is_tap: bool, relayed: MediaSource | EncoderFeed
    ) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(ticket.path)
        except OSError as error:  # TimeoutError is an OSError
            _log.warning("relay not connected", source_id=source.source_id, reason=str(error))
            return
        relay = SourceRelay(writer, token=ticket.token, batch_seconds=ticket.batch_seconds, is_tap=is_tap)
        task = asyncio.current_task()
        if is_tap and task is not None:
            self._taps[task] = relay
        try:
            relayed.add_relay(relay)
            while True:
                asked = await _replies.next(reader)
                if isinstance(asked, TapEndAsked):
                    relay.finish()
                else:
                    source.request_relayed_keyframe(asked.ssrc, self._clock())
        except BrokenStreamError as error:
            _log.info("relay ended", source_id=source.source_id, reason=str(error))
        finally:
            if task is not None:
                self._taps.pop(task, None)
            relayed.remove_relay(relay)
            relay.close()

"""The receiving end of taps: one unix socket of a process that records or composes, for all of its taps.

    server                          engine of the source            this process
      | -- DescribeSourceRequest -------> |                               |
      | -- accept: the description -------------------------------------> |   TapReceiver.accept
      | <- the ticket --------------------------------------------------- |
      | -- StartRelayCommand -----------> |                               |
                                          | -- RelayHello, media -------> |

A tap is a relay (`sfu.relay.relay_messages`) whose receiver is no engine. The engine sends everything that it receives
of the source, and takes keyframe requests.

What the engine has received when a source ends may still be on its way: in the engine, in the socket, and unread in
this process. The connection is closed behind it, so its end is the end of the tap. `drain` asks the engine for that
end, and reads up to it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import msgspec
import structlog

from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, FeedTicket, Unit
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, MediaBusServer, SendReply
from stagebook.media.rtc.sfu.relay.relay_messages import (
    RELAY_DECODER,
    FrameCached,
    KeyframeAsked,
    PacketRelayed,
    RelayHello,
    RelayMessage,
    SourceDescription,
    TapEndAsked,
)
from stagebook.media.rtc.sfu.relay.relayed_sources import TICKET_SECONDS
from stagebook.media.tap.layer_follower import SETTLING_SECONDS, PictureLimit
from stagebook.media.tap.source_tap import SourceTap
from stagebook.media.tap.tap_listener import TapListener
from stagebook.media.worker.framing import frame

TICK_SECONDS: Final = 0.1
"""How often lost packets are given up, layers chosen and keyframe requests repeated, at most once a batch."""
DRAIN_SECONDS: Final = 5.0
"""How long `drain` reads. What has not come then is lost."""
MAX_DRAINED_BYTES: Final = 8 << 20
"""How much `drain` reads: more than may wait in the engine, in the socket and in this process."""
_TOKEN_BITS: Final = 192

_log = structlog.get_logger(__name__)


class _Tap(msgspec.Struct, kw_only=True):
    """One tap that was accepted and has not ended."""

    listener: TapListener
    token: str
    opened_at: float
    media: SourceTap
    reply: SendReply | None = None
    """None until the engine has connected."""
    has_failed: bool = False
    """Whether a failure of its media was logged."""
    drained_by: float | None = None
    """When `drain` stops reading. None before it was called."""
    drained_bytes: int = 0


class TapReceiver:
    """All taps of a process. It is the listener of their media bus."""

    def __init__(self, *, clock: Callable[[], float], randomness: Random, batch_seconds: float = 0.0) -> None:
        """`clock` returns monotonic seconds; `randomness` is fit for secrets. `batch_seconds` is how long engines may
        hold back what they send: each batch costs this process and the engine a call of the system."""
        self._clock = clock
        self._randomness = randomness
        self._batch_seconds = batch_seconds
        self._taps: dict[str, _Tap] = {}
        self._server = MediaBusServer(self, RELAY_DECODER, clock=clock, randomness=randomness)
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, directory: str) -> None:
        """Listen on a new socket in `directory`, which only this user can enter. Raises OSError."""
        await self._server.start(directory)
        self._schedule_tick()

    async def stop(self) -> None:
        """Close all taps. No listener is called."""
        if self._timer is not None:
            self._timer.cancel()
        self._taps.clear()
        await self._server.stop()

    def accept(
        self,
        tap_id: str,
        description: SourceDescription,  # noqa: ARG002 - what the engine sends says it again
        listener: TapListener,
        *,
        limit: PictureLimit | None = None,
        settling_seconds: float = SETTLING_SECONDS,
    ) -> FeedTicket:
        """Accept a tap, and return the ticket for the engine of its source. `tap_id` is the caller's name for it.

        A simulcast layer above `limit` is handed on only if the publisher sends no other one. At the start, frames are
        kept for up to `settling_seconds`, until it is known which layer is the best one: 0 hands on the first.

        A ticket that is not used in time ends the tap. Raises ValueError for a `tap_id` in use, and RuntimeError before
        `start`.
        """
        if tap_id in self._taps:
            raise ValueError(f"the tap {tap_id} is open")
        if self._server.path is None:
            raise RuntimeError("taps are accepted after start")
        token = f"{self._randomness.getrandbits(_TOKEN_BITS):048x}"
        now = self._clock()
        media = SourceTap(
            hand_on=partial(listener.frame_received, tap_id),
            ask_for_keyframe=partial(self._ask_for_keyframe, tap_id),
            limit=limit,
            settling_seconds=settling_seconds,
            now=now,
        )
        self._taps[tap_id] = _Tap(listener=listener, token=token, opened_at=now, media=media)
        return FeedTicket(path=self._server.path, token=token, batch_seconds=self._batch_seconds)

    def close(self, tap_id: str) -> None:
        """Close a tap. Its listener is not called again. Unknown ids are ignored."""
        if self._taps.pop(tap_id, None) is not None:
            self._server.disconnect(tap_id)

    def drain(self, tap_id: str) -> None:
        """Read what the engine has received so far, and then close the tap: its listener gets the end, never from
        within this call. DRAIN_SECONDS and MAX_DRAINED_BYTES bound it. Unknown ids are ignored."""
        tap = self._taps.get(tap_id)
        if tap is None or tap.drained_by is not None:
            return
        tap.drained_by = self._clock() + DRAIN_SECONDS
        if tap.reply is None:
            # The engine has not connected: it has sent nothing.
            asyncio.get_running_loop().call_soon(self.feed_closed, tap_id)
        else:
            tap.reply(frame(TapEndAsked(), max_bytes=MAX_FEED_MESSAGE_BYTES))

    def request_keyframe(self, tap_id: str) -> None:
        """Request a keyframe of the layer that is handed on, no more than one a second. Encoders cannot be asked.
        Unknown ids are ignored."""
        tap = self._taps.get(tap_id)
        if tap is not None:
            tap.media.request_keyframe(self._clock())

    def choose_height(self, tap_id: str, pixels: int | None) -> None:
        """Hand on the smallest simulcast layer that is at least so high; None: the best one, as at the start.

        The change takes effect at a keyframe. Unknown ids are ignored."""
        tap = self._taps.get(tap_id)
        if tap is not None:
            tap.media.choose_height(pixels, self._clock())

    def _ask_for_keyframe(self, tap_id: str, ssrc: int) -> None:
        tap = self._taps.get(tap_id)
        if tap is not None and tap.reply is not None:
            tap.reply(frame(KeyframeAsked(ssrc=ssrc), max_bytes=MAX_FEED_MESSAGE_BYTES))

    def _schedule_tick(self) -> None:
        seconds = max(TICK_SECONDS, self._batch_seconds)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._schedule_tick()
        now = self._clock()
        for tap_id, tap in list(self._taps.items()):
            if tap.reply is None and now - tap.opened_at > TICKET_SECONDS:
                _log.warning("the engine has not connected to a tap", tap_id=tap_id)
                self.feed_closed(tap_id)
            elif tap.drained_by is not None and now > tap.drained_by:
                self._cut(tap_id)
            else:
                self._call(tap_id, tap, tap.media.tick, now)

    @staticmethod
    def _call(tap_id: str, tap: _Tap, function: Callable[..., None], *arguments: object) -> None:
        """Call a method of a tap's media. A failure is logged once, and must not end the tap."""
        try:
            function(*arguments)
        except Exception:  # noqa: BLE001 - a defect that one packet meets must not end a recording
            if not tap.has_failed:
                tap.has_failed = True
                _log.exception("tapped media failed", tap_id=tap_id)

    # MediaBusListener: the connection id of a tap is its tap id

    def feed_connected(self, hello: RelayMessage, reply: SendReply, now: float) -> str:  # noqa: ARG002 - of the interface
        """The engine of a source has connected. Raises FeedRefusedError without a valid token."""
        token = hello.token if isinstance(hello, RelayHello) else None
        for tap_id, tap in self._taps.items():
            if tap.token == token and tap.reply is None:
                tap.reply = reply
                return tap_id
        raise FeedRefusedError("a tap has no valid token")

    def feed_received(self, connection_id: str, message: RelayMessage, now: float) -> None:
        """The engine has sent what it has received. Raises FeedRefusedError for a second hello."""
        if isinstance(message, RelayHello):
            raise FeedRefusedError("it sent a second hello")
        tap = self._taps.get(connection_id)
        if tap is None:
            return  # `drain` has read enough.
        self._call(connection_id, tap, tap.media.receive, message, now)
        if tap.drained_by is not None:
            tap.drained_bytes += _size_bytes(message)
            if tap.drained_bytes > MAX_DRAINED_BYTES:
                self._cut(connection_id)

    def feed_closed(self, connection_id: str) -> None:
        """A tap has ended without `close`: everything that it was sent has been read."""
        tap = self._taps.pop(connection_id, None)
        if tap is None:
            return
        end_us: int | None = None
        try:
            end_us = tap.media.flush(self._clock())
        except Exception:  # noqa: BLE001 - as in `_call`
            _log.exception("the end of tapped media failed", tap_id=connection_id)
        tap.listener.tap_ended(connection_id, end_us)

    def _cut(self, tap_id: str) -> None:
        """End a tap whose drain has reached its bound."""
        _log.warning("the end of tapped media is left out: it could not be read in time", tap_id=tap_id)
        self._server.disconnect(tap_id)
        self.feed_closed(tap_id)


def _size_bytes(message: RelayMessage) -> int:
    """Return the size of the media in a message."""
    match message:
        case PacketRelayed():
            return len(message.packet)
        case Unit() | FrameCached():
            return sum(map(len, message.payloads))
        case _:
            return 0

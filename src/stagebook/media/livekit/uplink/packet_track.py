"""A track of a WebRTC sender whose media is encoded already: frames go in, and the sender takes them as packets.

A burst, such as the frames since the last keyframe, is spread: LiveKit's socket would drop a part of it otherwise.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any, Final

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import Packet

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES

MAX_WAITING_FRAMES: Final = 1_024
"""As many as the cache of frames since the last keyframe has (`gop_cache`), and 20 s of audio."""
BURST_INTERVAL_SECONDS: Final = 0.004
"""Between two frames while others wait: eight times the rate of a video with 30 frames a second."""


class PacketTrack(MediaStreamTrack):
    """The audio or the video of one uplink."""

    def __init__(self, kind: MediaKind, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.kind = kind.value
        super().__init__()
        self._time_base = Fraction(1, CLOCK_RATES[kind])
        self._sleep = sleep
        self._frames: deque[Packet[Any]] = deque()
        self._changed = asyncio.Event()
        self._drops = False
        """Whether frames are dropped until the next keyframe, because too many waited."""

    def put(self, body: bytes, timestamp: int, *, is_keyframe: bool) -> None:
        """Add a frame with its timestamp in ticks. If the sender does not take frames, all up to a keyframe are
        dropped."""
        if len(self._frames) >= MAX_WAITING_FRAMES:
            self._frames.clear()
            self._drops = True
        if self._drops and not is_keyframe:
            return
        self._drops = False
        packet = Packet(body)
        packet.pts = timestamp
        packet.time_base = self._time_base
        self._frames.append(packet)
        self._changed.set()

    async def recv(self) -> "Packet[Any]":
        """Return the next frame, as the sender asks for it. Raises MediaStreamError after `stop`."""
        if len(self._frames) > 1:
            await self._sleep(BURST_INTERVAL_SECONDS)
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        """End the track; a waiting sender is told."""
        super().stop()
        self._changed.set()

"""The packets that wait for an RTMP server, bounded in their number.

A server that reads too slowly loses media: the queue is emptied when it is full, and goes on with the next keyframe. So
the delay of what is sent stays bounded, and a server that does not read costs a bounded memory.
"""

import asyncio
from collections import deque
from typing import Final

from stagebook.media.composition.encoding.encoded_packet import EncodedPacket
from stagebook.media.recording.hls.encoded_media import EncodedPicture

MAX_PACKETS: Final = 400
"""About 5 s of 30 pictures and 47 frames of sound a second."""


class PushQueue:
    """Between the encoders of a composition and one connection."""

    def __init__(self, *, max_packets: int = MAX_PACKETS) -> None:
        self._max_packets = max_packets
        self._packets: deque[EncodedPacket] = deque()
        self._awaits_keyframe = True
        self._changed = asyncio.Event()
        self._is_ended = False

    def put(self, packet: EncodedPacket) -> None:
        """Add a packet. Before the first keyframe, and after the queue was full, packets are dropped until one."""
        if len(self._packets) >= self._max_packets:
            self._packets.clear()
            self._awaits_keyframe = True
        if self._awaits_keyframe:
            if not (isinstance(packet, EncodedPicture) and packet.is_keyframe):
                return
            self._awaits_keyframe = False
        self._packets.append(packet)
        self._changed.set()

    def end(self) -> None:
        """Let `take` return what is left, and then None."""
        self._is_ended = True
        self._changed.set()

    async def take(self) -> EncodedPacket | None:
        """Remove and return the oldest packet; wait for one. None after the end."""
        while not self._packets:
            if self._is_ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._packets.popleft()

"""VP8 frames from RTP payloads (RFC 7741).

Each payload begins with a descriptor, which is not part of the frame (section 4.2). The S bit with partition index 0 is
on the first packet of a frame, and the marker bit on the last one (section 4.1). A sender that sets no marker ends a
frame with the next timestamp.
"""

from collections.abc import Sequence

from stagebook.media.codecs.vp8 import size_of_keyframe
from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.tap.frame_builder import MAX_FRAME_BYTES, BuiltFrame
from stagebook.media.tap.packet_order import MediaPacket


class Vp8Builder:
    """Makes the frames of one stream."""

    def __init__(self) -> None:
        self.waits_for_keyframe = True
        self._size = (0, 0)
        self._form = b""
        self._timestamp = 0
        self._is_key = False
        self._parts: list[bytes] = []
        """Of the frame that has begun. Empty while none has."""
        self._size_bytes = 0

    @property
    def is_building(self) -> bool:
        """Whether a frame has begun."""
        return bool(self._parts)

    def lose(self) -> None:
        """Packets are missing: go on with the next keyframe."""
        self.waits_for_keyframe = True
        self._parts = []

    def add(self, packet: MediaPacket) -> Sequence[BuiltFrame]:
        """Take the next packet. Returns the frames that are complete: at most two, without and with a marker."""
        if not packet.payload:
            return ()
        descriptor = parse_descriptor(packet.payload)
        if descriptor is None:
            self.lose()
            return ()
        done: Sequence[BuiltFrame] = ()
        if self._parts and (packet.timestamp != self._timestamp or descriptor.starts_frame):
            done = self._finish()
        if descriptor.starts_frame:
            self._begin(packet, is_key=descriptor.is_key)
            if descriptor.is_key:
                self._size = size_of_keyframe(packet.payload, descriptor) or (0, 0)
        elif not self._parts and not self.waits_for_keyframe:
            self.lose()
        if not self._parts:
            return done
        self._parts.append(packet.payload[descriptor.size :])
        self._size_bytes += len(packet.payload)
        if self._size_bytes > MAX_FRAME_BYTES:
            self.lose()
        elif packet.marker:
            done = (*done, *self._finish())
        return done

    def _begin(self, packet: MediaPacket, *, is_key: bool) -> None:
        self._timestamp, self._is_key, self._size_bytes = packet.timestamp, is_key, 0
        if is_key or not self.waits_for_keyframe:
            self._parts = [b""]

    def _finish(self) -> Sequence[BuiltFrame]:
        parts, self._parts = self._parts, []
        if self._is_key:
            if not any(self._size):
                # Its header is broken: no decoder can begin here.
                self.lose()
                return ()
            self.waits_for_keyframe = False
            self._form = b"%dx%d" % self._size
        width, height = self._size
        return (BuiltFrame(self._timestamp, b"".join(parts), self._is_key, height, self._form, width),)

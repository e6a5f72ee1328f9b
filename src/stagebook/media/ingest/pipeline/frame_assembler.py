"""Joins the slices of a frame that an encoder sends in several messages.

FLV wants one message per frame, and nearly all encoders follow it. Some hardware encoders send each slice as soon as it
is coded, in a message of its own. All slices of a frame need one RTP timestamp, and only the last packet has the marker
bit (RFC 6184 section 5.1); otherwise a viewer counts each slice as a frame of its own.

Nothing in a message says that it is the last one of its frame. The end is known when the next frame begins, so joining
costs a delay of one frame. Encoders that do not split their frames must not pay it. The first complete keyframe, which
is the largest frame, decides:

    PROBING --a second message of a frame--> JOINING     each frame waits for the next one
       |                                        ^
       +--the keyframe was one message--> PASSING --a second message of a frame

The one frame at which PASSING ends has been sent already: its other slices follow with its timestamp.
"""

from enum import Enum
from typing import Final

import msgspec

from stagebook.media.codecs.input_fault import invalid_input
from stagebook.media.media_bus import Unit

MAX_FRAME_BYTES: Final = 7 << 20
"""The largest RTMP message that can be configured (6 MiB) with its packet headers, and below the maximum of a media bus
message (MAX_FEED_MESSAGE_BYTES)."""
MAX_FRAME_PAYLOADS: Final = 8_192
"""The GOP cache holds no larger frame."""


class _AssemblerState(Enum):
    PROBING = "probing"
    PASSING = "passing"
    JOINING = "joining"


class FrameAssembler:
    """Processes the video units of one stream in decoding order."""

    def __init__(self) -> None:
        self._state = _AssemblerState.PROBING
        self._latest: Unit | None = None
        """The first slices of the latest frame, which may have been returned already."""
        self._held: list[bytes] = []
        """The payloads of the latest frame that have not been returned. In PASSING there are none."""
        self._held_bytes = 0

    def begin(self, unit: Unit) -> list[Unit]:
        """Add the first slices of a frame. Returns the complete frames, in decoding order."""
        complete = self._take_held()
        if self._state is _AssemblerState.PROBING and any(frame.is_keyframe for frame in complete):
            self._state = _AssemblerState.PASSING
        self._latest = unit
        if self._state is _AssemblerState.PASSING:
            return [*complete, unit]
        self._hold(unit.payloads)
        return complete

    def extend(self, payloads: tuple[bytes, ...]) -> None:
        """Add further slices to the frame of the latest `begin`. Without one, since `drop`, they are dropped.

        Raises InputFaultError (INPUT) if the frame becomes too large; the caller has to `drop` it.
        """
        if self._latest is None:
            return
        if self._state is _AssemblerState.PASSING:
            # These slices become a unit of their own, with the timestamp of the frame that was returned.
            self._latest = msgspec.structs.replace(self._latest, is_keyframe=False)
        self._state = _AssemblerState.JOINING
        self._hold(payloads)

    def drop(self) -> None:
        """Drop the incomplete frame."""
        self._latest = None
        self._held, self._held_bytes = [], 0

    def _hold(self, payloads: tuple[bytes, ...]) -> None:
        self._held += payloads
        self._held_bytes += sum(map(len, payloads))
        if self._held_bytes > MAX_FRAME_BYTES or len(self._held) > MAX_FRAME_PAYLOADS:
            raise invalid_input(
                f"one frame has more than {MAX_FRAME_BYTES} bytes or more than {MAX_FRAME_PAYLOADS} packets"
            )

    def _take_held(self) -> list[Unit]:
        if self._latest is None or not self._held:
            return []
        complete = msgspec.structs.replace(self._latest, payloads=tuple(self._held))
        self._held, self._held_bytes = [], 0
        return [complete]

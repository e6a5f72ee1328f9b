"""When a datagram arrived in the machine, as the kernel says it (SO_TIMESTAMPNS, socket(7)). Linux only.

While the event loop is busy, or pauses between two reads (`read_rounds`), a datagram waits for many milliseconds.
Without the kernel's time that would look like a queue on the path.
"""

import socket
import struct
import sys
from typing import Final

TIMESTAMP_SIZE_BYTES: Final = 64
"""Room for the control message with a timespec."""
_SO_TIMESTAMPNS: Final = 35
"""The socket option, and the type of the control message. The socket module has no name for it."""
_TIMESPEC = struct.Struct("@ll")
_MAX_WAIT_SECONDS: Final = 1.0
"""A datagram that seems to have waited longer arrived before the system's clock was set."""


def enable_arrival_times(udp_socket: socket.socket) -> bool:
    """Let the kernel say when each datagram arrived. False if it cannot."""
    if sys.platform != "linux":
        return False
    try:
        udp_socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def waited_seconds(timespec: bytes, wall_time: float) -> float:
    """How long before `wall_time` a datagram arrived; negative if it arrived after. `timespec` is the content of its
    control message. 0.0 if the clocks do not agree."""
    if len(timespec) != _TIMESPEC.size:
        return 0.0
    seconds, nanoseconds = _TIMESPEC.unpack(timespec)
    waited: float = wall_time - seconds - nanoseconds * 1e-9
    return waited if abs(waited) < _MAX_WAIT_SECONDS else 0.0

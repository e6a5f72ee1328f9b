"""The hot loop: one packet of a source to all of its viewers.

At 60 viewers of 240 packets a second this runs 14,000 times a second, so it is written for that alone. Per viewer:
write a header, copy the payload, protect in place, send. What makes it cheap:

* no object is made and nothing is awaited per viewer: sockets are non-blocking, and a full one loses the packet, which
  the viewer gets again by NACK;
* one buffer serves all viewers, for `sendto` is done with it when it returns; the views that `sendto` takes are cut
  once, at import, for every size;
* libsrtp is called by its C function, without pylibsrtp's copies and checks.

Two thirds of the time are the kernel's `sendto`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from pylibsrtp import ffi, lib  # type: ignore[attr-defined]  # libsrtp's C interface, left out of __all__

from stagebook.media.rtc.rtp.rtp_packet import HEADER, HEADER_SIZE_BYTES
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES, TRAILER_SIZE_BYTES, CData

Address: TypeAlias = tuple[Any, ...]
"""A socket address as `recvfrom` gives it: (ip, port) or (ip, port, flow, scope)."""

MAX_PAYLOAD_SIZE_BYTES = MAX_PACKET_SIZE_BYTES - HEADER_SIZE_BYTES - TRAILER_SIZE_BYTES

_MEMORY: CData = ffi.new("char[]", MAX_PACKET_SIZE_BYTES)
_BUFFER = memoryview(ffi.buffer(_MEMORY))
_VIEWS = [_BUFFER[:size] for size in range(MAX_PACKET_SIZE_BYTES + 1)]
_SIZE: CData = ffi.new("int *")
_OK: int = lib.srtp_err_status_ok


class DownTrack:
    """One stream of one viewer, as the loop needs it. The viewer's other half of it lives in `viewer`."""

    __slots__ = ("address", "packets", "payload_type", "sendto", "sequence_offset", "srtp", "ssrc")

    def __init__(self, *, ssrc: int, payload_type: int) -> None:
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.sequence_offset = 0
        self.packets = 0
        """How many this loop has sent to the viewer."""
        self.srtp: CData = None
        self.sendto: Callable[[memoryview, Address], int] = _not_connected
        self.address: Address = ()


def _not_connected(_data: memoryview, _address: Address) -> int:
    raise OSError("not connected")


def fan_out(outlets: list[DownTrack], *, sequence: int, marker: int, timestamp: int, payload: bytes) -> None:
    """Send one packet to all outlets, each with its own SSRC, payload type and sequence number.

    `sequence` is the source's; `marker` is 0 or 1; `payload` has at most MAX_PAYLOAD_SIZE_BYTES. Never raises for what
    the network does.
    """
    write_header = HEADER.pack_into
    protect = lib.srtp_protect
    memory, buffer, views, size_pointer = _MEMORY, _BUFFER, _VIEWS, _SIZE
    size = HEADER_SIZE_BYTES + len(payload)
    marker_bit = marker << 7
    for outlet in outlets:
        number = (sequence + outlet.sequence_offset) & 0xFFFF
        write_header(buffer, 0, 0x80, marker_bit | outlet.payload_type, number, timestamp, outlet.ssrc)
        buffer[HEADER_SIZE_BYTES:size] = payload
        size_pointer[0] = size
        if protect(outlet.srtp, memory, size_pointer) != _OK:
            # A packet older than libsrtp's window: it would be of no use to the viewer either.
            continue
        try:
            outlet.sendto(views[size_pointer[0]], outlet.address)
        except OSError:
            # A full send buffer or an address without a route.
            continue
        outlet.packets += 1

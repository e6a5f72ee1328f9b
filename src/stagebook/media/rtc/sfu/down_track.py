"""The hot loop: one packet of a source to all of its viewers.

With 60 viewers and 240 packets a second, the body of the loop runs 14,000 times a second, so the code is written for
speed. For each viewer it writes an RTP header, copies the payload, encrypts in place and sends. What makes it cheap:

* It creates no object and awaits nothing per viewer. Sockets are non-blocking; when a send buffer is full, the packet
  is dropped and the viewer requests it again by NACK.
* One buffer serves all viewers, because `sendto` has copied the data when it returns. The memoryview slices that are
  passed to `sendto` are made once, at import, for every possible size.
* It calls libsrtp's C function directly, without pylibsrtp's copies and checks.

About two thirds of the time is spent in the kernel's `sendto`.
"""

from collections.abc import Callable

from pylibsrtp import ffi, lib  # type: ignore[attr-defined]  # libsrtp's C interface, left out of __all__

from stagebook.media.rtc.ice.udp_socket import Address, Path
from stagebook.media.rtc.rtp.rtp_packet import HEADER, HEADER_SIZE_BYTES
from stagebook.media.rtc.sfu.engine_statistics import MediaCounters
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES, TRAILER_SIZE_BYTES, CData

MAX_PAYLOAD_SIZE_BYTES = MAX_PACKET_SIZE_BYTES - HEADER_SIZE_BYTES - TRAILER_SIZE_BYTES

_MEMORY: CData = ffi.new("char[]", MAX_PACKET_SIZE_BYTES)
_BUFFER = memoryview(ffi.buffer(_MEMORY))
_VIEWS = [_BUFFER[:size] for size in range(MAX_PACKET_SIZE_BYTES + 1)]
_SIZE: CData = ffi.new("int *")
_OK: int = lib.srtp_err_status_ok


class DownTrack:
    """One RTP stream to one viewer: the fields that `fan_out` reads. `viewer.ViewerTrack` holds the rest.

    The viewer sets `srtp` and calls `set_path` when its connection is up, and `set_path` again when its path changes.
    """

    __slots__ = ("address", "counters", "packets", "payload_type", "sendto", "sequence_offset", "srtp", "ssrc")

    def __init__(self, *, ssrc: int, payload_type: int, counters: MediaCounters) -> None:
        """`counters` are those of the engine, the same object for all of its down tracks."""
        self.ssrc = ssrc
        self.counters = counters
        self.payload_type = payload_type
        self.sequence_offset = 0
        """What is added to the source's sequence number, modulo 2^16."""
        self.packets = 0
        """Packets that `fan_out` has sent to the viewer."""
        self.srtp: CData = None
        self.sendto: Callable[[memoryview, Address], int] = _not_connected
        self.address: Address = ()

    def set_path(self, path: Path | None) -> None:
        """Send over `path` from the next packet on. None: drop every packet, as if it were lost, which is the case
        before the peer is connected and without its consent (RFC 7675)."""
        self.sendto, self.address = (_not_connected, ()) if path is None else (path.socket.sendto, path.address)


def _not_connected(_data: memoryview, _address: Address) -> int:
    raise OSError("not connected")


def fan_out(down_tracks: list[DownTrack], *, sequence: int, marker: int, timestamp: int, payload: bytes) -> None:
    """Send one packet to all down tracks, each with its own SSRC, payload type and sequence number.

    `sequence` is the source's number; `marker` is 0 or 1; `payload` has at most MAX_PAYLOAD_SIZE_BYTES. Network errors
    are not raised: a packet that cannot be sent is lost for that viewer only.
    """
    if not down_tracks:
        return
    write_header = HEADER.pack_into
    protect = lib.srtp_protect
    memory, buffer, views, size_pointer = _MEMORY, _BUFFER, _VIEWS, _SIZE
    size = HEADER_SIZE_BYTES + len(payload)
    marker_bit = marker << 7
    failed = 0
    for down_track in down_tracks:
        number = (sequence + down_track.sequence_offset) & 0xFFFF
        write_header(buffer, 0, 0x80, marker_bit | down_track.payload_type, number, timestamp, down_track.ssrc)
        buffer[HEADER_SIZE_BYTES:size] = payload
        size_pointer[0] = size
        if protect(down_track.srtp, memory, size_pointer) != _OK:
            # The packet is older than libsrtp's replay window. The viewer would drop it as well.
            failed += 1
            continue
        try:
            down_track.sendto(views[size_pointer[0]], down_track.address)
        except OSError:
            # A full send buffer, or an address without a route.
            failed += 1
            continue
        down_track.packets += 1
    sent = len(down_tracks) - failed
    counters = down_tracks[0].counters
    counters.sent_packets += sent
    counters.sent_bytes += sent * size

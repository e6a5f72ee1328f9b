"""One RTP stream to one viewer: what the hot loop (`sending.fan_out`) has to know of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from stagebook.media.rtc.ice.udp_socket import Address, Path
from stagebook.media.rtc.rtp.rtp_packet import HEADER_SIZE_BYTES
from stagebook.media.rtc.sfu.sending.datagram_repeater import DatagramRepeater
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES, TRAILER_SIZE_BYTES, OutboundSrtp

TRANSPORT_EXTENSION_SIZE_BYTES = 8
"""A header extension block of one element with the transport-wide sequence number (RFC 8285 section 4.2): profile and
length, the element's header, the number, and a byte of padding."""
MAX_PAYLOAD_SIZE_BYTES = MAX_PACKET_SIZE_BYTES - HEADER_SIZE_BYTES - TRANSPORT_EXTENSION_SIZE_BYTES - TRAILER_SIZE_BYTES


class TransportHistory(Protocol):
    """What has been sent over one viewer's connection, for transport-wide congestion control."""

    def take(self, count: int) -> int:
        """Return the 16-bit transport-wide number of the first of `count` packets that are sent next."""

    def add(self, first: int, sizes: Sequence[int], now: float) -> None:
        """Packets from the number `first` on have been sent at `now`, with these sizes in bytes."""


class DownTrack:
    """One RTP stream to one viewer: the fields that `fan_out` reads. `viewer.ViewerTrack` holds the rest.

    The viewer sets `srtp` and calls `set_path` when its connection is up, and `set_path` again when its path changes.
    """

    __slots__ = (
        "_path",
        "address",
        "counters",
        "is_repeated",
        "packets",
        "payload_type",
        "red_block_type",
        "send_run",
        "sendto",
        "sequence_offset",
        "srtp",
        "ssrc",
        "transport",
        "transport_extension_id",
    )

    def __init__(self, *, ssrc: int, payload_type: int, counters: MediaCounters) -> None:
        """`counters` are those of the engine, the same object for all of its down tracks."""
        self.ssrc = ssrc
        self.counters = counters
        self.payload_type = payload_type
        self.red_block_type = 0
        """Of audio that is sent with redundancy (RED): the payload type of Opus. `payload_type` is that of RED then."""
        self.sequence_offset = 0
        """What is added to the source's sequence number, modulo 2^16."""
        self.packets = 0
        """Packets that `fan_out` has sent to the viewer."""
        self.srtp: OutboundSrtp | None = None
        self.transport: TransportHistory | None = None
        """Where the packets are numbered and noted if the viewer negotiated transport-wide congestion control."""
        self.transport_extension_id = 0
        """The id of the header extension with that number, 1 to 14."""
        self.sendto: Callable[[memoryview, Address], int] = _not_connected
        self.send_run: Callable[[memoryview, int, Address], int] = _not_connected_run
        self.address: Address = ()
        self.is_repeated = False
        """Whether each datagram is sent twice."""
        self._path: Path | None = None

    def set_path(self, path: Path | None) -> None:
        """Send over `path` from the next packet on. None: drop every packet, as if it were lost, which is the case
        before the peer is connected and without its consent (RFC 7675)."""
        self._path = path
        if path is None:
            self.sendto, self.send_run, self.address = _not_connected, _not_connected_run, ()
        else:
            self.sendto, self.send_run, self.address = path.socket.sendto, path.socket.send_run, path.address
            if self.is_repeated:
                self.sendto = DatagramRepeater(self.sendto, self.counters)

    def set_repeated(self, *, is_repeated: bool) -> None:
        """Send each datagram that is sent alone, as those of audio are, a second time with the next one."""
        self.is_repeated = is_repeated
        self.set_path(self._path)


def _not_connected(_data: memoryview, _address: Address) -> int:
    raise OSError("not connected")


def _not_connected_run(_data: memoryview, _size: int, _address: Address) -> int:
    return 0

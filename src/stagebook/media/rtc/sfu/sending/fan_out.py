"""The hot loop: a batch of packets of a track to all of its viewers.

With 60 viewers and 240 packets a second, its inner loop runs 14,000 times a second, so the code is written for speed.
For each viewer it copies the batch into one buffer, writes the RTP headers, encrypts each packet in place and sends the
batch. What makes it cheap:

* The kernel's part of sending is the largest. Neighbours of equal size, of which the last may be smaller, are a run,
  and a run is one system call (`UdpSocket.send_run`). The packets of a frame mostly are one run or two.
* It creates no object and awaits nothing per packet and viewer. Sockets are non-blocking; when a send buffer is full,
  the packets are dropped and the viewer requests them again by NACK.
* One buffer serves all viewers, because the kernel has copied the data when a call returns. What is the same for all
  viewers is worked out once for a batch (`_Layout`): positions, views, and the batch itself with its payloads.
* It calls libsrtp's C function directly, without pylibsrtp's copies and checks; for the packets of a batch by `map`,
  which runs no bytecode for a packet.
* A packet that is sent alone, as those of audio are, needs none of the above: it has a loop of its own, without
  positions and runs.
"""

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from typing import TypeAlias

from pylibsrtp import ffi, lib  # type: ignore[attr-defined]  # libsrtp's C interface, left out of __all__

from stagebook.media.rtc.rtp.rtp_packet import HEADER_SIZE_BYTES
from stagebook.media.rtc.sfu.down_track import TRANSPORT_EXTENSION_SIZE_BYTES, DownTrack
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES, CData, OutboundSrtp

MAX_BATCH_PACKETS = 32
"""More packets are sent as several batches. The memory of a batch fits into a processor's second-level cache."""
MAX_RUN_SIZE_BYTES = 60_000
"""A run is one IP packet to the kernel until it is cut, so it has less than 64 KiB with its headers."""

_SLOT_SIZE_BYTES = MAX_PACKET_SIZE_BYTES
_MEMORY: CData = ffi.new("char[]", MAX_BATCH_PACKETS * _SLOT_SIZE_BYTES)
_BUFFER = memoryview(ffi.buffer(_MEMORY))
_SIZES: CData = ffi.new("int[]", MAX_BATCH_PACKETS)
_SIZES_BUFFER = memoryview(ffi.buffer(_SIZES)).cast("i")
_SIZE_POINTERS: list[CData] = [_SIZES + index for index in range(MAX_BATCH_PACKETS)]
_OK: int = lib.srtp_err_status_ok
_PROTECT_RTP: CData = lib.srtp_protect

_PLAIN_HEADER = struct.Struct("!HHLL")
"""Flags, marker and payload type in one number; sequence number, timestamp, SSRC."""
_NUMBERED_HEADER = struct.Struct("!HHLLHHBHx")
"""The same, then the extension block: profile, length in words, the element's header, the number and padding."""
_PLAIN_FLAGS = 0x8000
_EXTENSION_FLAGS = 0x9000
_ONE_BYTE_PROFILE = 0xBEDE

_Write: TypeAlias = Callable[..., None]
"""Writes a packet into a buffer at a position: the fields of its header, then the payload."""
_Slot: TypeAlias = tuple[int, int, int, int]
"""A packet in the buffer: position, flags with marker, sequence number, timestamp."""
_Run: TypeAlias = tuple[memoryview, int, int]
"""What is sent by one call, the size of its packets, and their number."""


def fan_out(down_tracks: Sequence[DownTrack], packets: Sequence[SentPacket], *, now: float) -> None:
    """Send packets to all down tracks, each with its own SSRC, payload type and sequence numbers, in their order.

    Each payload has at most MAX_PAYLOAD_SIZE_BYTES. `now` is in monotonic seconds. Network errors are not raised: a
    packet that cannot be sent is lost for that viewer only.
    """
    if not down_tracks:
        return
    if len(packets) == 1:
        _send_alone(down_tracks, packets[0], now)
        return
    for first in range(0, len(packets), MAX_BATCH_PACKETS):
        _send_batch(down_tracks, packets[first : first + MAX_BATCH_PACKETS], now)


def _send_alone(down_tracks: Sequence[DownTrack], packet: SentPacket, now: float) -> None:
    sequence, marker, timestamp, payload = packet
    write, write_numbered = _writer(len(payload)), _numbered_writer(len(payload))
    buffer, sizes, memory, size_pointer = _BUFFER, _SIZES_BUFFER, _MEMORY, _SIZES
    protect, ok = lib.srtp_protect, _OK
    plain_size = HEADER_SIZE_BYTES + len(payload)
    plain_flags, extension_flags = _PLAIN_FLAGS | marker << 7, _EXTENSION_FLAGS | marker << 7
    sent_packets = sent_bytes = wire_size = 0
    wire = buffer[:0]
    for down_track in down_tracks:
        srtp, transport = down_track.srtp, down_track.transport
        if srtp is None:
            continue
        own, ssrc = (sequence + down_track.sequence_offset) & 0xFFFF, down_track.ssrc
        if transport is None:
            size = plain_size
            write(buffer, 0, plain_flags | down_track.payload_type, own, timestamp, ssrc, payload)
        else:
            size, first = plain_size + TRANSPORT_EXTENSION_SIZE_BYTES, extension_flags | down_track.payload_type
            number, element = transport.take(1), down_track.transport_extension_id << 4 | 1
            transport.add(number, (size + srtp[1],), now)
            write_numbered(buffer, 0, first, own, timestamp, ssrc, _ONE_BYTE_PROFILE, 1, element, number, payload)
        sizes[0] = size
        # By index: a name of a tuple's item takes longer.
        if protect(srtp[0], memory, size_pointer) != ok:
            # Older than the replay window (`_encrypt`).
            continue
        if size + srtp[1] != wire_size:
            wire_size = size + srtp[1]
            wire = buffer[:wire_size]
        try:
            down_track.sendto(wire, down_track.address)
        except OSError:
            # A full send buffer, or an address without a route.
            continue
        down_track.packets += 1
        sent_packets += 1
        sent_bytes += size
    counters = down_tracks[0].counters
    counters.sent_packets += sent_packets
    counters.sent_bytes += sent_bytes


def _send_batch(down_tracks: Sequence[DownTrack], packets: Sequence[SentPacket], now: float) -> None:
    buffer, sizes = _BUFFER, _SIZES_BUFFER
    layouts: dict[int, _Layout] = {}
    sent_packets = sent_bytes = 0
    for down_track in down_tracks:
        srtp, transport = down_track.srtp, down_track.transport
        if srtp is None:
            continue
        overhead = srtp.trailer_size_bytes if transport is None else -srtp.trailer_size_bytes
        layout = layouts.get(overhead)
        if layout is None:
            layout = layouts[overhead] = _Layout(packets, trailer_bytes=abs(overhead), is_numbered=overhead < 0)
        buffer[layout.extent] = layout.template
        sizes[layout.sizes_extent] = layout.sizes
        if transport is None:
            failed = _encrypt(layout, down_track, srtp)
        else:
            number = transport.take(layout.count)
            failed = _encrypt_numbered(layout, down_track, srtp, number)
            transport.add(number, layout.wire_sizes, now)
        sent = size = 0
        address = down_track.address
        for view, packet_size, count in layout.runs if failed is None else layout.runs_without(failed):
            if count > 1:
                count = down_track.send_run(view, packet_size, address)
                size += min(count * packet_size, len(view))
            else:
                try:
                    size += down_track.sendto(view, address)
                except OSError:
                    # A full send buffer, or an address without a route.
                    continue
            sent += count
        down_track.packets += sent
        sent_packets += sent
        sent_bytes += size - sent * srtp.trailer_size_bytes
    counters = down_tracks[0].counters
    counters.sent_packets += sent_packets
    counters.sent_bytes += sent_bytes


def _encrypt(layout: "_Layout", down_track: DownTrack, srtp: OutboundSrtp) -> list[int] | None:
    """Write the headers of a batch for a viewer and encrypt it. Returns the indexes of packets that libsrtp refused
    because they are older than its replay window; the viewer would drop them as well. None if there are none."""
    write, buffer = _PLAIN_HEADER.pack_into, _BUFFER
    payload_type, offset, ssrc = down_track.payload_type, down_track.sequence_offset, down_track.ssrc
    for position, first, sequence, timestamp in layout.slots:
        write(buffer, position, first | payload_type, (sequence + offset) & 0xFFFF, timestamp, ssrc)
    return _protect(layout, srtp)


def _encrypt_numbered(layout: "_Layout", down_track: DownTrack, srtp: OutboundSrtp, number: int) -> list[int] | None:
    """As `_encrypt`, with a header extension that holds the transport-wide sequence numbers from `number` on."""
    write, buffer = _NUMBERED_HEADER.pack_into, _BUFFER
    payload_type, offset, ssrc = down_track.payload_type, down_track.sequence_offset, down_track.ssrc
    # The low four bits are the length of the element's value minus one (RFC 8285 section 4.2).
    element = down_track.transport_extension_id << 4 | 1
    for position, first, sequence, timestamp in layout.slots:
        own = (sequence + offset) & 0xFFFF
        write(buffer, position, first | payload_type, own, timestamp, ssrc, _ONE_BYTE_PROFILE, 1, element, number)
        number = (number + 1) & 0xFFFF
    return _protect(layout, srtp)


def _protect(layout: "_Layout", srtp: OutboundSrtp) -> list[int] | None:
    """Encrypt the packets of a batch, whose headers are written. Returns the indexes of those that libsrtp refused;
    None if it refused none."""
    statuses = list(map(_PROTECT_RTP, repeat(srtp[0]), layout.pointers, _SIZE_POINTERS))
    if statuses.count(_OK) == layout.count:
        return None
    return [index for index, status in enumerate(statuses) if status != _OK]


@lru_cache(maxsize=MAX_PACKET_SIZE_BYTES)
def _writer(payload_bytes: int) -> _Write:
    return struct.Struct(f"{_PLAIN_HEADER.format}{payload_bytes}s").pack_into


@lru_cache(maxsize=MAX_PACKET_SIZE_BYTES)
def _numbered_writer(payload_bytes: int) -> _Write:
    return struct.Struct(f"{_NUMBERED_HEADER.format}{payload_bytes}s").pack_into


class _Layout:
    """Where the packets of a batch lie in the buffer, which depends on what a connection adds to each packet."""

    __slots__ = ("count", "extent", "pointers", "runs", "sizes", "sizes_extent", "slots", "template", "wire_sizes")

    def __init__(self, packets: Sequence[SentPacket], *, trailer_bytes: int, is_numbered: bool) -> None:
        prefix = bytes(HEADER_SIZE_BYTES + (TRANSPORT_EXTENSION_SIZE_BYTES if is_numbered else 0))
        flags = _EXTENSION_FLAGS if is_numbered else _PLAIN_FLAGS
        trailer = bytes(trailer_bytes)
        self.count = len(packets)
        self.slots: list[_Slot] = []
        self.pointers: list[CData] = []
        self.wire_sizes: list[int] = []
        parts: list[bytes] = []
        position = 0
        for sequence, marker, timestamp, payload in packets:
            self.slots.append((position, flags | marker << 7, sequence, timestamp))
            self.pointers.append(_MEMORY + position)
            parts += prefix, payload, trailer
            size = len(prefix) + len(payload) + trailer_bytes
            self.wire_sizes.append(size)
            position += size
        self.template = b"".join(parts)
        self.extent, self.sizes_extent = slice(position), slice(self.count)
        self.sizes = memoryview(array("i", [size - trailer_bytes for size in self.wire_sizes]))
        """Before encryption. libsrtp takes them from memory, and replaces them by those of the encrypted packets."""
        self.runs = list(_cut_runs(self.wire_sizes))

    def runs_without(self, omitted: Sequence[int]) -> list[_Run]:
        """The packets but the omitted ones, each as a run of its own."""
        kept = [
            (slot[0], size)
            for index, (slot, size) in enumerate(zip(self.slots, self.wire_sizes, strict=True))
            if index not in omitted
        ]
        return [(_BUFFER[position : position + size], size, 1) for position, size in kept]


def _cut_runs(sizes: Sequence[int]) -> Iterator[_Run]:
    """Cut the buffer, which holds packets of these sizes, into runs: packets of one size, the last may be smaller."""
    start = end = count = run_size = last_size = 0
    for size in sizes:
        if count and not (last_size == run_size >= size and end + size - start <= MAX_RUN_SIZE_BYTES):
            yield _BUFFER[start:end], run_size, count
            start, count = end, 0
        if count == 0:
            run_size = size
        end += size
        count += 1
        last_size = size
    yield _BUFFER[start:end], run_size, count

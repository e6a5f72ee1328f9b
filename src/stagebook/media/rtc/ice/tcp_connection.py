"""One accepted TCP connection that carries the packets of a peer in frames (RFC 4571), where UDP does not pass.

To the rest of the engine it is a socket like any other (`udp_socket.MediaSocket`): a packet is sent or it is lost, and
sending never waits. What differs from UDP:

* A slow peer. TCP keeps what the line cannot carry, and old media is of no use. So the kernel holds at most
  UNSENT_SIZE_BYTES that it has not sent (TCP_NOTSENT_LOWAT), and behind that a queue of this connection holds a bounded
  number of bytes. Above MAX_QUEUED_VIDEO_BYTES, and while the queue has not been empty for MAX_QUEUED_VIDEO_SECONDS,
  large packets of RTP are dropped: these are video. Small ones, which may be audio, have MAX_QUEUED_AUDIO_SECONDS. Up
  to MAX_QUEUED_BYTES there is room for them and for all else: RTCP, checks, handshakes. A packet is queued whole or not
  at all, because the peer could not find the next frame after a piece of one. The peer requests a dropped packet again
  by NACK, as on UDP.
* A fast peer. After FRAMES_PER_SECOND frames, null packets included, nothing is read until the next second. TCP makes
  the peer wait.
* The end. The peer, or the network between, may end the connection. The owner is told once.

The kernel sends each packet at once (TCP_NODELAY).
"""

import asyncio
import math
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from stagebook.media.rtc.ice.tcp_framing import (
    LENGTH_SIZE_BYTES,
    LENGTHS,
    FrameReader,
    FrameTooLargeError,
    write_frames,
)
from stagebook.media.rtc.ice.udp_socket import Address

READ_SIZE_BYTES: Final = 16_384
"""Read at once. After it the event loop serves other sockets and timers."""
FRAMES_PER_SECOND: Final = 6_000
"""A publisher may send 5,000 packets a second (`peer_connection`)."""
UNSENT_SIZE_BYTES: Final = 32_768
MAX_QUEUED_VIDEO_BYTES: Final = 131_072
"""Together with what the kernel holds, a keyframe of 720p."""
MAX_QUEUED_BYTES: Final = 196_608
MAX_QUEUED_VIDEO_SECONDS: Final = 1.0
"""Longer than it takes to send a keyframe, and short enough that the sound, which waits behind it, is still of use."""
MAX_QUEUED_AUDIO_SECONDS: Final = 3.0
"""After two seconds without video the line is too slow for the sound, too, which would come later and later."""
SMALL_PACKET_SIZE_BYTES: Final = 640
"""Opus at 128 kbit/s with its redundant copy (RFC 2198) fits, and so do all reports."""

FramesReceiver: TypeAlias = Callable[["TcpConnection", list[bytes], float], None]
"""Called with the connection, the packets of one read, and the time in monotonic seconds."""


class TcpConnection:
    """An accepted connection. All methods are called on the thread of the event loop."""

    waited_seconds = 0.0
    """Unknown: the kernel does not say when the bytes of a stream arrived."""

    def __init__(
        self,
        accepted: socket.socket,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        on_frames: FramesReceiver,
        on_ended: Callable[["TcpConnection"], None],
    ) -> None:
        """`clock` returns monotonic seconds. `on_ended` is called once when the peer or an error ends the connection,
        and not after `close` or `detach`. Raises OSError if the peer has already ended it."""
        self._socket = accepted
        self._loop = loop
        self._clock = clock
        self._on_frames = on_frames
        self._on_ended = on_ended
        self._frames = FrameReader()
        self._frames_left = FRAMES_PER_SECOND
        self._is_reading = self._is_closed = False
        self._queue = bytearray()
        self._queued_since = 0.0
        self.dropped_packets = 0
        """Packets that were dropped because the peer reads too slowly, or the line is too slow."""
        self.received_at = clock()
        """The time of the last frame, or of the accept."""
        accepted.setblocking(False)  # noqa: FBT003 - the standard library's
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_SIZE_BYTES)
        self.address: Address = accepted.getpeername()

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self._is_closed

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the kernel."""
        return len(self._queue)

    # Receiving

    def start(self, data: bytes = b"") -> None:
        """Receive from now on. `data` are bytes of the connection that were read before."""
        if data:
            self._take(data)
        self._resume()

    def renew_allowance(self) -> None:
        """Start a new second of the limit of frames. The caller does so about once a second."""
        self._frames_left = FRAMES_PER_SECOND
        self._resume()

    def _resume(self) -> None:
        if not self._is_reading and not self._is_closed:
            self._is_reading = True
            self._loop.add_reader(self._socket.fileno(), self._read)

    def _pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._socket.fileno())

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._end()

    def _take(self, data: bytes) -> None:
        try:
            packets = self._frames.feed(data)
        except FrameTooLargeError:
            self._end()
            return
        self._frames_left -= len(packets) + self._frames.null_packets
        if self._frames_left <= 0:
            self._pause()
        if packets:
            self.received_at = now = self._clock()
            self._on_frames(self, packets, now)

    # Sending

    def sendto(self, packet: memoryview | bytes, _address: Address) -> int:
        """Send a packet of at most MAX_PACKET_SIZE_BYTES to the peer, or queue it. Raises OSError if it is dropped."""
        size = len(packet)
        if self._queue:
            if not self._enqueue(packet):
                raise BlockingIOError
            return size
        try:
            sent = self._socket.sendmsg((LENGTHS[size], packet))
        except BlockingIOError:
            sent = 0
        if sent < size + LENGTH_SIZE_BYTES:
            self._start_queue((LENGTHS[size] + packet)[sent:])
        return size

    def send_run(self, data: memoryview, size: int, _address: Address) -> int:
        """Send `data` as packets of `size` bytes each, of which the last may be smaller, by one system call.

        Returns how many packets were sent or queued; the others are dropped.
        """
        packets = [data[start : start + size] for start in range(0, len(data), size)]
        if self._queue:
            return sum(self._enqueue(packet) for packet in packets)
        frames = write_frames(packets)
        try:
            sent = self._socket.send(frames)
        except BlockingIOError:
            sent = 0
        except OSError:
            return 0
        if sent < len(frames):
            self._start_queue(frames[sent:])
        return len(packets)

    def send(self, datagram: bytes, address: Address) -> None:
        """Send a packet. It is lost if the queue is full or the connection has ended."""
        with suppress(OSError):
            self.sendto(datagram, address)

    def _start_queue(self, data: bytes) -> None:
        """Queue what the kernel has not taken."""
        self._queued_since = self._clock()
        self._queue += data
        self._loop.add_writer(self._socket.fileno(), self._flush)

    def _enqueue(self, packet: memoryview | bytes) -> bool:
        """Queue a packet behind others. Return False if it is dropped."""
        size = len(packet)
        limit_bytes, limit_seconds = _limits(packet)
        is_late = self._clock() - self._queued_since > limit_seconds
        if is_late or len(self._queue) + size > limit_bytes:
            self.dropped_packets += 1
            return False
        self._queue += LENGTHS[size]
        self._queue += packet
        return True

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._queue)
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        del self._queue[:sent]
        if not self._queue:
            self._loop.remove_writer(self._socket.fileno())

    # The end

    def close(self) -> None:
        """Close the connection. The kernel still sends what it holds; the queue is lost. A second call does nothing."""
        if not self._is_closed:
            self.detach().close()

    def detach(self) -> socket.socket:
        """Give the socket away. From now on every packet is dropped."""
        self._pause()
        if self._queue:
            self._loop.remove_writer(self._socket.fileno())
            self._queue.clear()
        self._is_closed = True
        detached, self._socket = self._socket, _CLOSED_SOCKET
        return detached

    def rest(self) -> bytes:
        """The bytes that were read of a frame that has not ended."""
        return self._frames.rest

    def _end(self) -> None:
        if not self._is_closed:
            self.close()
            self._on_ended(self)


def _limits(packet: memoryview | bytes) -> tuple[int, float]:
    """How long the queue may be, in bytes, and how long it may have lasted, in seconds, for a packet to join it.

    The first byte tells SRTP and SRTCP from the rest (RFC 7983 section 7), the second SRTCP from SRTP (RFC 5761).
    """
    if not 127 < packet[0] < 192 or 192 <= packet[1] <= 223:
        return MAX_QUEUED_BYTES, math.inf
    if len(packet) <= SMALL_PACKET_SIZE_BYTES:
        return MAX_QUEUED_BYTES, MAX_QUEUED_AUDIO_SECONDS
    return MAX_QUEUED_VIDEO_BYTES, MAX_QUEUED_VIDEO_SECONDS


def _closed_socket() -> socket.socket:
    closed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    closed.close()
    return closed


_CLOSED_SOCKET: Final = _closed_socket()
"""In place of a socket that was given away: every call raises OSError."""

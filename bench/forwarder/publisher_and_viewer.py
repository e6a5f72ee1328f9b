"""The peers of the benchmark: a publisher of the synthetic stream, and viewers that count the received packets."""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    pack_remb_fci,
)

from bench.forwarder.peer import DtlsIdentity, Peer
from bench.forwarder.sdp import AUDIO_SSRC, VIDEO_SSRC
from bench.forwarder.synthetic_stream import (
    AUDIO_INTERVAL_SECONDS,
    FRAMES_PER_SECOND,
    LARGE_FRAME_FRAGMENTS,
    PACKET_INTERVAL_SECONDS,
    RtpStream,
    SyntheticAudio,
    SyntheticVideo,
)

CHECKED_PACKETS = 50
"""Number of packets that a viewer decrypts. Later packets are only counted."""
REPORT_INTERVAL_SECONDS = 1.0
CONSENT_INTERVAL_SECONDS = 2.5
_NTP_EPOCH_SECONDS = 2_208_988_800
_VIEWER_SSRC = 1
_BITRATE_BPS = 2_500_000
_STAMP = struct.Struct("!d")
"""The last bytes of a packet of slice data or audio: when it was sent, in seconds since 1970."""
_MIN_STAMPED_SIZE_BYTES = 64
"""Smaller packets hold the parameter sets, which the server reads."""
_SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it.
_TIMESPEC = struct.Struct("@ll")


class StreamCount(msgspec.Struct, kw_only=True):
    """The packet count of a stream. `highest` is the extended highest sequence number (RFC 3550 section A.1)."""

    highest: int
    received: int = 0

    def count_packet(self, sequence: int) -> None:
        """Count a packet with this 16-bit sequence number."""
        ahead = sequence - self.highest & 0xFFFF
        if ahead < 0x8000:
            self.highest += ahead
        self.received += 1


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The number of received packets, and the sum of the highest sequence numbers.

    The difference of their increases is the number of lost packets.
    """

    received: int
    highest: int


class Publisher(Peer):
    """Sends the synthetic stream after `start`, and a keyframe for each PLI or FIR."""

    def __init__(self, identity: DtlsIdentity, *, sound: Sequence[bytes] = ()) -> None:
        """With the packets of a sound, which are sent as they are, video has 2.5 Mbit/s."""
        super().__init__(identity)
        self._video = SyntheticVideo(ssrc=VIDEO_SSRC)
        self._audio = SyntheticAudio(ssrc=AUDIO_SSRC)
        self._is_stamped = not sound
        if sound:
            self._video = SyntheticVideo(ssrc=VIDEO_SSRC, fragments=LARGE_FRAME_FRAGMENTS)
            self._audio = SyntheticAudio(ssrc=AUDIO_SSRC, packets=sound)
        self._queued: deque[bytes] = deque()
        """Packets of video that wait for their time."""

    def start(self) -> None:
        """Start to send in real time."""
        _repeat(self._loop, 1 / FRAMES_PER_SECOND, self._queue_frame)
        _repeat(self._loop, AUDIO_INTERVAL_SECONDS, self._send_audio)
        _repeat(self._loop, REPORT_INTERVAL_SECONDS, self._send_reports)
        _repeat(self._loop, CONSENT_INTERVAL_SECONDS, self.check_consent)

    def on_rtcp(self, datagram: bytes) -> None:
        """Handle requests for a keyframe."""
        for packet in RtcpPacket.parse(self.inbound.unprotect_rtcp(datagram)):
            if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                self._video.request_keyframe()

    def _queue_frame(self) -> None:
        is_idle = not self._queued
        self._queued.extend(self._video.next_frame())
        if is_idle:
            self._send_queued(self._loop.time())

    def _send_queued(self, due: float) -> None:
        """Send what is due. On a busy machine that is several packets: video must not fall behind the audio."""
        while self._queued and due <= self._loop.time():
            self._send_rtp(self._queued.popleft())
            due += PACKET_INTERVAL_SECONDS
        if self._queued:
            self._loop.call_at(due, self._send_queued, due)

    def _send_audio(self) -> None:
        self._send_rtp(self._audio.next_frame())

    def _send_rtp(self, packet: bytes) -> None:
        if self._is_stamped and len(packet) >= _MIN_STAMPED_SIZE_BYTES:
            packet = packet[: -_STAMP.size] + _STAMP.pack(time.time())
        self.send(self.outbound.protect(packet))

    def _send_reports(self) -> None:
        for stream in (self._video.stream, self._audio.stream):
            self.send(self.outbound.protect_rtcp(bytes(_sender_report(stream))))


class Viewer(Peer):
    """Counts received packets. It sends receiver reports once a second like a browser, but no NACKs."""

    def __init__(self, identity: DtlsIdentity) -> None:
        super().__init__(identity)
        self._counts: dict[bytes, StreamCount] = {}
        self._unchecked = CHECKED_PACKETS
        self.media_flowing = asyncio.Event()

    def start(self) -> None:
        """Start to send receiver reports and consent checks."""
        _repeat(self._loop, REPORT_INTERVAL_SECONDS, self._send_report)
        _repeat(self._loop, CONSENT_INTERVAL_SECONDS, self.check_consent)

    def on_rtp(self, datagram: bytes) -> None:
        """Count a packet by its SSRC and sequence number, which are not encrypted. The first packets must decrypt."""
        sequence = datagram[2] << 8 | datagram[3]
        ssrc = datagram[8:12]
        count = self._counts.get(ssrc)
        if count is None:
            count = self._counts[ssrc] = StreamCount(highest=sequence - 1)
        count.count_packet(sequence)
        if self._unchecked:
            self.inbound.unprotect(datagram)
            self._unchecked -= 1
            if not self._unchecked:
                self.media_flowing.set()

    def totals(self) -> Totals:
        """Return the totals of both streams."""
        counts = self._counts.values()
        return Totals(received=sum(count.received for count in counts), highest=sum(count.highest for count in counts))

    def _send_report(self) -> None:
        blocks = [_receiver_info(int.from_bytes(ssrc), count) for ssrc, count in self._counts.items()]
        report = RtcpRrPacket(ssrc=_VIEWER_SSRC, reports=blocks)
        remb = RtcpPsfbPacket(
            fmt=RTCP_PSFB_APP,
            ssrc=_VIEWER_SSRC,
            media_ssrc=0,
            fci=pack_remb_fci(_BITRATE_BPS, [int.from_bytes(ssrc) for ssrc in self._counts]),
        )
        self.send(self.outbound.protect_rtcp(bytes(report) + bytes(remb)))


class TimedViewer(Viewer):
    """Decrypts all packets, and takes how long each was on its way: from the publisher's call that sent it until the
    system received it for the viewer's socket. The wait of this process for its turn does not count."""

    def __init__(self, identity: DtlsIdentity) -> None:
        super().__init__(identity)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._received_at = 0.0
        self.delays: list[float] = []
        """In seconds."""

    def _drain(self) -> None:
        try:
            while True:
                datagram, ancillary, _, _ = self._socket.recvmsg(2048, 64)
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                self._received_at = seconds + nanoseconds / 1e9
                self._dispatch(datagram)
        except BlockingIOError:
            return

    def on_rtp(self, datagram: bytes) -> None:
        """Count a packet, and take its delay."""
        if not self._unchecked:
            packet = self.inbound.unprotect(datagram)
            if len(packet) >= _MIN_STAMPED_SIZE_BYTES:
                self.delays.append(self._received_at - _STAMP.unpack_from(packet, len(packet) - _STAMP.size)[0])
        super().on_rtp(datagram)


def _receiver_info(ssrc: int, count: StreamCount) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=ssrc,
        fraction_lost=0,
        packets_lost=0,
        highest_sequence=count.highest & 0xFFFFFFFF,
        jitter=0,
        lsr=0,
        dlsr=0,
    )


def _sender_report(stream: RtpStream) -> RtcpSrPacket:
    info = RtcpSenderInfo(
        ntp_timestamp=int((time.time() + _NTP_EPOCH_SECONDS) * (1 << 32)),
        rtp_timestamp=stream.timestamp,
        packet_count=stream.packets & 0xFFFFFFFF,
        octet_count=stream.payload_bytes & 0xFFFFFFFF,
    )
    return RtcpSrPacket(ssrc=stream.ssrc, sender_info=info)


def _repeat(loop: asyncio.AbstractEventLoop, interval_seconds: float, act: Callable[[], None]) -> None:
    """Call `act` immediately, and then at fixed intervals without drift."""

    def run(due: float) -> None:
        loop.call_at(due + interval_seconds, run, due + interval_seconds)
        act()

    run(loop.time())

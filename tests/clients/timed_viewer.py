"""A viewer that knows when each flash is due and when each beep, on the sender's clock (RFC 3550 section 6.4.1).

It decodes by itself what aiortc's transport receives, since aiortc's own decoders forget the RTP timestamps.
"""

from collections.abc import Callable

import httpx
import msgspec
from aiortc import RTCPeerConnection
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtcpSrPacket, RtpPacket
from av import AudioFrame, CodecContext, Packet
from av.error import FFmpegError

from tests.clients.stage_client import new_peer_connection, offer, token_payload, wait_connected

CLOCK_HERTZ = {"audio": 48_000, "video": 90_000}
BRIGHT = 128
LOUD = 4_000
QUIET_SAMPLES = 9_600
"""A beep begins after a fifth of a second without sound."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender report says: the same moment on the sender's clock and on the stream's."""

    ntp_seconds: float
    rtp_timestamp: int


class TimedStream:
    """One track: its clock, and the RTP packets that the transport hands over."""

    def __init__(self, kind: str, take: Callable[[RtpPacket], None]) -> None:
        self._hertz = CLOCK_HERTZ[kind]
        self._take = take
        self._report: Report | None = None

    def seconds(self, rtp_timestamp: int) -> float | None:
        """Return when a timestamp is on the sender's clock, by the newest report; None before the first."""
        if self._report is None:
            return None
        ahead = (rtp_timestamp - self._report.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        return self._report.ntp_seconds + ahead / self._hertz

    async def handle_rtp(self, packet: RtpPacket, arrival_time_ms: int) -> None:  # noqa: ARG002 - aiortc's own call
        """Take a packet in the place of aiortc's receiver."""
        self._take(packet)

    async def handle_rtcp(self, packet: object) -> None:
        """Take a report in the place of aiortc's receiver."""
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            self._report = Report(ntp_seconds=info.ntp_timestamp / (1 << 32), rtp_timestamp=info.rtp_timestamp)


class TimedViewer:
    """Watches one publisher. `flashes` and `beeps` are the seconds, on the sender's clock, at which each began."""

    def __init__(self, token: str, *, publisher_id: str) -> None:
        self.connection: RTCPeerConnection = new_peer_connection()
        self.flashes: list[float] = []
        self.beeps: list[float] = []
        self._token = token
        self._url = f"{token_payload(token)['whip_url']}/subscribe/{publisher_id}"
        self._video = TimedStream("video", self._take_video)
        self._audio = TimedStream("audio", self._take_audio)
        self._picture_decoder = CodecContext.create("h264", "r")
        self._picture_decoder.thread_count = 1
        self._sound_decoder = OpusDecoder()
        self._picture = bytearray()
        self._is_bright = True
        self._quiet_samples = 0

    async def start(self) -> httpx.Response:
        """Subscribe; return the response to the offer once media is connected. Raises OfferRefusedError."""
        for kind, stream in (("audio", self._audio), ("video", self._video)):
            receiver = self.connection.addTransceiver(kind, direction="recvonly").receiver
            receiver._handle_rtp_packet = stream.handle_rtp  # type: ignore[method-assign]
            receiver._handle_rtcp_packet = stream.handle_rtcp  # type: ignore[method-assign]
        response = await offer(self.connection, self._url, self._token)
        await wait_connected(self.connection)
        return response

    async def stop(self) -> None:
        """Close the peer connection, without a DELETE."""
        await self.connection.close()

    @property
    def offsets_seconds(self) -> list[float]:
        """Return for each flash how much later the nearest beep began. Both must have been told of."""
        return [min((beep - flash for beep in self.beeps), key=abs) for flash in self.flashes[1:-1] if self.beeps]

    def _take_video(self, packet: RtpPacket) -> None:
        if not packet.payload:
            return
        self._picture += h264_depayload(packet.payload)
        if not packet.marker:
            return
        encoded, self._picture = Packet(bytes(self._picture)), bytearray()
        encoded.pts = packet.timestamp
        try:
            frames = self._picture_decoder.decode(encoded)
        except FFmpegError:  # a packet was lost: the next keyframe mends it
            return
        for frame in frames:
            luma = frame.planes[0]
            is_bright = bytes(luma)[frame.height // 2 * luma.line_size + frame.width // 2] > BRIGHT
            at_seconds = None if frame.pts is None else self._video.seconds(frame.pts)
            if is_bright and not self._is_bright and at_seconds is not None:
                self.flashes.append(at_seconds)
            self._is_bright = is_bright

    def _take_audio(self, packet: RtpPacket) -> None:
        for frame in self._sound_decoder.decode(JitterFrame(data=packet.payload, timestamp=packet.timestamp)):
            assert isinstance(frame, AudioFrame)
            samples = memoryview(bytes(frame.planes[0])).cast("h")[: frame.samples * 2 : 2]
            for index, sample in enumerate(samples):
                if abs(sample) < LOUD:
                    self._quiet_samples += 1
                    continue
                at_seconds = self._audio.seconds(packet.timestamp + index)
                if self._quiet_samples >= QUIET_SAMPLES and at_seconds is not None:
                    self.beeps.append(at_seconds)
                self._quiet_samples = 0

"""A viewer that measures audio/video synchronisation: the time of each flash and of each beep on the sender's clock.

RTCP sender reports relate the RTP timestamps of a stream to the clock of the sender (RFC 3550 section 6.4.1). aiortc's
decoders drop the RTP timestamps, so this viewer decodes the packets of aiortc's transport itself.
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
"""A beep begins after at least a fifth of a second of silence."""


class SenderReport(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a sender report: one moment as NTP time of the sender and as RTP timestamp of the stream."""

    ntp_seconds: float
    rtp_timestamp: int


class TimedStream:
    """A track: its clock, and the handlers that replace those of aiortc's receiver. `take` gets each RTP packet."""

    def __init__(self, kind: str, take: Callable[[RtpPacket], None]) -> None:
        self._hertz = CLOCK_HERTZ[kind]
        self._take = take
        self._report: SenderReport | None = None

    def seconds(self, rtp_timestamp: int) -> float | None:
        """Return the time of an RTP timestamp on the sender's clock, or None before the first sender report."""
        if self._report is None:
            return None
        ahead = (rtp_timestamp - self._report.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        return self._report.ntp_seconds + ahead / self._hertz

    async def handle_rtp(self, packet: RtpPacket, arrival_time_ms: int) -> None:  # noqa: ARG002 - the signature is aiortc's
        """Handle an RTP packet instead of aiortc's receiver."""
        self._take(packet)

    async def handle_rtcp(self, packet: object) -> None:
        """Handle an RTCP packet instead of aiortc's receiver."""
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            self._report = SenderReport(ntp_seconds=info.ntp_timestamp / (1 << 32), rtp_timestamp=info.rtp_timestamp)


class TimedViewer:
    """Subscribes to a publisher. `flashes` and `beeps` are their start times in seconds on the sender's clock."""

    def __init__(self, token: str, *, publisher_id: str) -> None:
        self.connection: RTCPeerConnection = new_peer_connection()
        self.flashes: list[float] = []
        self.beeps: list[float] = []
        self._token = token
        self._url = f"{token_payload(token)['whip_url']}/subscribe/{publisher_id}"
        self._video = TimedStream("video", self._take_video)
        self._audio = TimedStream("audio", self._take_audio)
        self._video_decoder = CodecContext.create("h264", "r")
        self._video_decoder.thread_count = 1
        self._audio_decoder = OpusDecoder()
        self._access_unit = bytearray()
        self._is_bright = True
        self._quiet_samples = 0

    async def start(self) -> httpx.Response:
        """Subscribe; return the response to the offer when media is connected. Raises OfferRefusedError."""
        for kind, stream in (("audio", self._audio), ("video", self._video)):
            receiver = self.connection.addTransceiver(kind, direction="recvonly").receiver
            receiver._handle_rtp_packet = stream.handle_rtp  # type: ignore[method-assign]
            receiver._handle_rtcp_packet = stream.handle_rtcp  # type: ignore[method-assign]
        response = await offer(self.connection, self._url, self._token)
        await wait_connected(self.connection)
        return response

    async def stop(self) -> None:
        """Close the peer connection, without a DELETE request."""
        await self.connection.close()

    @property
    def offsets_seconds(self) -> list[float]:
        """For each flash except the first and the last, the offset in seconds to the nearest beep."""
        return [min((beep - flash for beep in self.beeps), key=abs) for flash in self.flashes[1:-1] if self.beeps]

    def _take_video(self, packet: RtpPacket) -> None:
        if not packet.payload:
            return
        self._access_unit += h264_depayload(packet.payload)
        if not packet.marker:
            return
        encoded, self._access_unit = Packet(bytes(self._access_unit)), bytearray()
        encoded.pts = packet.timestamp
        try:
            frames = self._video_decoder.decode(encoded)
        except FFmpegError:  # a packet was lost; decoding continues at the next keyframe
            return
        for frame in frames:
            luma = frame.planes[0]
            is_bright = bytes(luma)[frame.height // 2 * luma.line_size + frame.width // 2] > BRIGHT
            at_seconds = None if frame.pts is None else self._video.seconds(frame.pts)
            if is_bright and not self._is_bright and at_seconds is not None:
                self.flashes.append(at_seconds)
            self._is_bright = is_bright

    def _take_audio(self, packet: RtpPacket) -> None:
        for frame in self._audio_decoder.decode(JitterFrame(data=packet.payload, timestamp=packet.timestamp)):
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

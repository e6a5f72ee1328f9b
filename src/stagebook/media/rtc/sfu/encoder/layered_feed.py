"""The feed of an encoder with several video tracks: its tracks are simulcast layers.

Everything that viewers of a WebRTC publisher have (a layer that fits their bandwidth, their own choice, relays to other
engines) is written for RTP streams that a `Publisher` receives. So the units of the feed become RTP packets again, of
one stream for each track, and a `Publisher` without a peer receives them. Packets come in order and none is lost.

An encoder takes no feedback. It cannot be asked for a keyframe: viewers that join or change layers wait for its next
one. There is no replay of the current GOP either, which would have to be of the layer that the viewer is sent.

Each stream gets a sender report every REPORT_SECONDS. All of them map the encoder's clock to NTP time by one fixed
point, so that audio and all layers stay in sync (RFC 3550 section 6.4.1).
"""

from collections.abc import Callable
from typing import Final

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Hello, Unit
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import HEADER
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RemoteTransport, TrackPlan
from stagebook.media.rtc.sfu.publisher import Publisher

REPORT_SECONDS: Final = 2.0
"""The reports of all layers together stay within SENDER_REPORTS_PER_SECOND of a publisher."""
_PAYLOAD_TYPES: Final = {MediaKind.VIDEO: 96, MediaKind.AUDIO: 97}
_RTP_VERSION: Final = 0x80
_SSRC_BITS: Final = 32


def make_plan(hello: Hello, random_bits: Callable[[int], int]) -> PublisherPlan:
    """The plan of a feed, as if it had been negotiated: H.264 with an SSRC for each track, and Opus.

    The encoding id of a layer is the number of its track. Nothing is accepted of the feedback that `Publisher` sends.
    """
    ssrcs: set[int] = set()
    while len(ssrcs) < hello.video_tracks + 1:
        ssrcs.add(random_bits(_SSRC_BITS))
    audio_ssrc, *video_ssrcs = ssrcs
    return PublisherPlan(
        remote=RemoteTransport(ufrag="", pwd="", fingerprints=()),
        video=_track_plan(MediaKind.VIDEO, Codec.H264, tuple(video_ssrcs), parameters=hello.video_parameters),
        audio=_track_plan(MediaKind.AUDIO, Codec.OPUS, (audio_ssrc,)),
    )


def _track_plan(kind: MediaKind, codec: Codec, ssrcs: tuple[int, ...], *, parameters: str = "") -> TrackPlan:
    is_audio = kind is MediaKind.AUDIO
    return TrackPlan(
        section=int(is_audio),
        kind=kind,
        mid=kind,
        protocol="",
        codec=codec,
        payload_type=_PAYLOAD_TYPES[kind],
        encoding=codec,
        clock_rate=CLOCK_RATES[kind],
        channels=2 if is_audio else 1,
        parameters=parameters,
        ssrcs=ssrcs,
        # The Opus of the media bus always has two channels, also for a mono encoder.
        is_stereo=is_audio,
    )


class FeedEndpoint:
    """The connection of a layered feed, as `Publisher` sees it."""

    waited_seconds = 0.0
    """Units have no arrival times."""

    def __init__(self, connection_id: str) -> None:
        self.connection_id: str | None = connection_id

    def send_rtcp(self, compound: bytes) -> None:
        """Drop it: an encoder takes no feedback."""


class _UnitStream:
    """The RTP stream of one track."""

    __slots__ = ("clock_rate", "octets", "packets", "payload_type", "reported_at", "sequence", "ssrc")

    def __init__(self, kind: MediaKind, ssrc: int) -> None:
        self.ssrc = ssrc
        self.payload_type = _PAYLOAD_TYPES[kind]
        self.clock_rate = CLOCK_RATES[kind]
        self.sequence = self.packets = self.octets = 0
        self.reported_at = float("-inf")

    def packetize(self, unit: Unit) -> list[bytes]:
        """The packets of a unit. The last one has the marker, which ends a frame (RFC 6184 section 5.1)."""
        timestamp, last = unit.timestamp & 0xFFFFFFFF, len(unit.payloads) - 1
        marker = 0x80 if unit.kind is MediaKind.VIDEO else 0
        packets: list[bytes] = []
        for index, payload in enumerate(unit.payloads):
            kind = self.payload_type | (marker if index == last else 0)
            packets.append(HEADER.pack(_RTP_VERSION, kind, self.sequence, timestamp, self.ssrc) + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.octets += len(payload)
        self.packets += len(packets)
        return packets


class LayeredFeed:
    """One feed. Its publisher feeds a source from `connect` to `close`."""

    def __init__(self, connection_id: str, publisher: Publisher, *, ntp_now: Callable[[], int]) -> None:
        """`publisher` has a plan of `make_plan`. `ntp_now` returns the server's time in NTP's 64-bit format."""
        self._publisher = publisher
        self._endpoint = FeedEndpoint(connection_id)
        self._ntp_now = ntp_now
        self._streams = {
            (plan.kind, number): _UnitStream(plan.kind, ssrc)
            for plan in publisher.plan.tracks
            for number, ssrc in enumerate(plan.ssrcs)
        }
        self._clock: tuple[float, int, float] | None = None
        """One instant as (monotonic seconds, NTP time, seconds of the encoder's clock)."""

    def connect(self, now: float) -> Publisher:
        """Connect the publisher. Returns it: the caller lets it feed the source."""
        self._publisher.connected(self._endpoint, now)
        return self._publisher

    def receive(self, unit: Unit, now: float) -> None:
        """Receive a unit. One of a track that the Hello did not announce is dropped."""
        stream = self._streams.get((unit.kind, unit.track))
        if stream is None:
            return
        for packet in stream.packetize(unit):
            self._publisher.receive_rtp(packet, now)
        if now - stream.reported_at >= REPORT_SECONDS:
            stream.reported_at = now
            self._report(stream, unit, now)

    def close(self) -> None:
        """The feed is closed: its source gets nothing more from it."""
        self._publisher.closed()

    def _report(self, stream: _UnitStream, unit: Unit, now: float) -> None:
        if self._clock is None:
            self._clock = (now, self._ntp_now(), unit.timestamp / stream.clock_rate)
        then, ntp, encoder_seconds = self._clock
        elapsed = now - then
        report = write_sender_report(
            ssrc=stream.ssrc,
            ntp=ntp + int(elapsed * (1 << 32)),
            rtp_timestamp=round((encoder_seconds + elapsed) * stream.clock_rate) & 0xFFFFFFFF,
            packets=stream.packets,
            octets=stream.octets,
            cname=b"",
        )
        self._publisher.receive_rtcp(report, now)

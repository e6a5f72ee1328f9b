"""A publisher whose packets reach a SourceTap, for tests: what the engine relays, without an engine."""

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from stagebook.media.rtc.sdp.header_extensions import HeaderExtensions
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RemoteTransport, TrackPlan
from stagebook.media.rtc.sfu.relay.relay_messages import PacketRelayed, PublisherRelayed, ReportRelayed
from stagebook.media.tap.layer_follower import SETTLING_SECONDS, PictureLimit
from stagebook.media.tap.packet_order import MediaPacket
from stagebook.media.tap.source_tap import SourceTap
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.rtc.packets import one_byte_extension, rtp
from tests.media.tap.sent_packets import media_packets

VIDEO_TYPES = {Codec.H264: 96, Codec.VP8: 98}
AUDIO_TYPE, RED_TYPE = 111, 63
RID_ID, REPAIRED_RID_ID = 10, 11


def track_plan(codec: Codec, **changes: object) -> TrackPlan:
    """The plan of a section with a codec, RTX and RED."""
    is_audio = codec is Codec.OPUS
    plan = TrackPlan(
        section=int(not is_audio),
        kind=MediaKind.AUDIO if is_audio else MediaKind.VIDEO,
        mid=str(int(not is_audio)),
        protocol="",
        codec=codec,
        payload_type=AUDIO_TYPE if is_audio else VIDEO_TYPES[codec],
        encoding=codec,
        clock_rate=48_000 if is_audio else 90_000,
        channels=1,
        parameters="",
        rtx_payload_type=None if is_audio else VIDEO_TYPES[codec] + 1,
        red_payload_type=RED_TYPE if is_audio else None,
        extensions=HeaderExtensions(rid=RID_ID, repaired_rid=REPAIRED_RID_ID),
    )
    return msgspec.structs.replace(plan, **changes)


def publisher_plan(ufrag: str = "u", codec: Codec = Codec.H264, **changes: object) -> PublisherPlan:
    """The plan of a publisher of audio and video. `changes` are those of the video's plan."""
    other = Codec.VP8 if codec is Codec.H264 else Codec.H264
    return PublisherPlan(
        remote=RemoteTransport(ufrag=ufrag, pwd="p", fingerprints=()),
        video=track_plan(codec, alternatives=(track_plan(other),), **changes),
        audio=track_plan(Codec.OPUS),
    )


class TappedPublisher:
    """A tap with one publisher after the other."""

    def __init__(
        self,
        plan: PublisherPlan | None = None,
        *,
        limit: PictureLimit | None = None,
        settling_seconds: float = SETTLING_SECONDS,
    ) -> None:
        self.now = 100.0
        self.frames: list[TappedFrame] = []
        self.asked: list[int] = []
        """The SSRCs of which a keyframe was requested."""
        self.tap = SourceTap(
            hand_on=self.frames.append,
            ask_for_keyframe=self.asked.append,
            limit=limit,
            settling_seconds=settling_seconds,
            now=self.now,
        )
        self.sequences: dict[int, int] = {}
        self.start(plan or publisher_plan())

    def start(self, plan: PublisherPlan, rids: dict[int, str] | None = None) -> None:
        """A publisher feeds the source from now on."""
        self.tap.receive(PublisherRelayed(plan=plan, rids=rids or {}), self.now)

    def relay(self, packet: bytes) -> None:
        self.tap.receive(PacketRelayed(packet=packet), self.now)

    def packet_of(self, packet: MediaPacket, *, ssrc: int, payload_type: int, rid: str = "") -> bytes:
        """The next packet of a stream."""
        sequence = self.sequences.get(ssrc, 65_500)
        self.sequences[ssrc] = sequence + 1
        return rtp(
            packet.payload,
            payload_type=payload_type,
            sequence=sequence,
            timestamp=packet.timestamp,
            ssrc=ssrc,
            marker=bool(packet.marker),
            extension=one_byte_extension({RID_ID: rid.encode()}) if rid else b"",
        )

    def send(self, *frames: bytes, codec: Codec = Codec.H264, ssrc: int = 1, at: int = 0, rid: str = "") -> None:
        """Send frames of video, 1/30 s apart, the first with the timestamp `at`."""
        for number, frame in enumerate(frames):
            for packet in media_packets(codec, [frame], timestamp=at + 3000 * number):
                self.relay(self.packet_of(packet, ssrc=ssrc, payload_type=VIDEO_TYPES[codec], rid=rid))
            self.pass_time(1 / 30)

    def say(self, *packets: bytes, ssrc: int = 7, at: int = 0) -> None:
        """Send packets of audio, 20 ms apart."""
        for number, packet in enumerate(packets):
            media = MediaPacket(at + 960 * number, 0, packet)
            self.relay(self.packet_of(media, ssrc=ssrc, payload_type=AUDIO_TYPE))
            self.pass_time(0.02)

    def report(self, *, ssrc: int, ntp_seconds: float, timestamp: int) -> None:
        compound = write_sender_report(
            ssrc=ssrc, ntp=int(ntp_seconds * (1 << 32)), rtp_timestamp=timestamp, packets=1, octets=1, cname=b""
        )
        self.tap.receive(ReportRelayed(compound=compound), self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.tap.tick(self.now)

    def end(self) -> int | None:
        """Nothing more comes. Returns where the media ends, in microseconds."""
        return self.tap.flush(self.now)

    def of(self, kind: MediaKind) -> list[TappedFrame]:
        """The frames of a kind so far."""
        return [frame for frame in self.frames if frame.kind is kind]

    @property
    def video(self) -> list[TappedFrame]:
        return self.of(MediaKind.VIDEO)

    @property
    def audio(self) -> list[TappedFrame]:
        return self.of(MediaKind.AUDIO)

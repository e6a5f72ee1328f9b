"""An encoder's source with one viewer, and feeds sent by the test."""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_source import EncoderSource
from stagebook.media.rtc.sfu.encoder.replay_pacer import ReplayPacer
from tests.media.rtc.sfu.encoder.fake_event_loop import FakeEventLoop
from tests.media.rtc.sfu.fake_viewer import FakeViewer

PARAMETERS = "packetization-mode=1;profile-level-id=64001f"
FRAME_SECONDS = 1 / 30


def make_unit(kind: MediaKind, *, seconds: float, key: bool = False, payloads: tuple[bytes, ...]) -> Unit:
    """A unit at `seconds` on the encoder's clock."""
    return Unit(kind=kind, timestamp=round(seconds * CLOCK_RATES[kind]), is_keyframe=key, payloads=payloads)


class Scenario:
    """A source whose feeds are sent by the test, and one viewer of both tracks."""

    def __init__(self) -> None:
        self.loop = FakeEventLoop()
        self.source = EncoderSource(
            "source",
            video_parameters=PARAMETERS,
            name="name",
            random_bits=lambda bits: (1 << bits) - 1,
            wall_clock=lambda: 1_000_000.0,
            pacer=ReplayPacer(call_later=self.loop.call_later, clock=lambda: self.loop.now),
        )
        self.video, self.audio = FakeViewer(ssrc=1), FakeViewer(ssrc=2)
        self.source.tracks[MediaKind.VIDEO].add(self.video.down_track, self.loop.now)
        self.source.tracks[MediaKind.AUDIO].add(self.audio.down_track, self.loop.now)
        self.media_seconds = {"a": 5.0, "b": 70_000.0, "c": 0.0}
        """The clock of each encoder."""
        self.numbers = dict.fromkeys(self.media_seconds, 0)

    def open_feed(self, name: str) -> None:
        """Add a feed."""
        self.source.add(EncoderFeed(name, video_parameters=f"{PARAMETERS};{name}", now=self.loop.now))

    def pass_time(self, seconds: float = FRAME_SECONDS) -> None:
        """Advance the server's clock and the encoders' clocks."""
        self.loop.now += seconds
        for name in self.media_seconds:
            self.media_seconds[name] += seconds

    def send_video(self, name: str, *, key: bool = False) -> None:
        """Send a video frame of a feed. Its payload is `<feed>:<frame number>:<"key" for a keyframe>`."""
        self.numbers[name] += 1
        payload = f"{name}:{self.numbers[name]}:{'key' if key else ''}".encode()
        self.source.receive(
            name,
            make_unit(MediaKind.VIDEO, seconds=self.media_seconds[name], key=key, payloads=(payload,)),
            self.loop.now,
        )

    def send_audio(self, name: str, *, ahead: float = 0.0) -> None:
        """Send an audio packet of a feed, `ahead` seconds ahead of the video. Its payload is the feed's name."""
        seconds = self.media_seconds[name] + ahead
        self.source.receive(name, make_unit(MediaKind.AUDIO, seconds=seconds, payloads=(name.encode(),)), self.loop.now)

    def send_both(self, *names: str, key: bool = False) -> None:
        """Send a frame and an audio packet of each feed, and advance the clocks by one frame."""
        for name in names:
            self.send_video(name, key=key)
            self.send_audio(name)
        self.pass_time()
        self.loop.run_all()

    def video_payloads(self) -> list[str]:
        """The payloads of the viewer's video packets."""
        return payload_strings(self.video.packets)

    def audio_payloads(self) -> list[str]:
        """The payloads of the viewer's audio packets."""
        return payload_strings(self.audio.packets)


def payload_strings(packets: list[RtpPacket]) -> list[str]:
    """The payloads as strings."""
    return [packet.payload.decode() for packet in packets]


def after_frames(count: int, first: str = "a", second: str = "b") -> Scenario:
    """Two feeds that have sent `count` frames each. The first one is active."""
    scenario = Scenario()
    scenario.open_feed(first)
    scenario.open_feed(second)
    scenario.send_both(first, second, key=True)
    for _ in range(count - 1):
        scenario.send_both(first, second)
    return scenario

"""The frames of an uplink: whole access units, with timestamps that continue from encoder to encoder."""

from itertools import pairwise

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.livekit.uplink.uplink_relay import UplinkRelay
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.sfu.encoder.gop_cache import TimedFrame
from tests.media.tap.sent_packets import h264_frames, normalised, payloads_of

FRAMES = h264_frames()


class Received:
    """What a track was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ticks: list[int] = []

    def put(self, body: bytes, timestamp: int, *, is_keyframe: bool) -> None:  # noqa: ARG002 - as the track
        self.bodies.append(body)
        self.ticks.append(timestamp)


class Uplinked:
    """A relay with recorded tracks."""

    def __init__(self) -> None:
        self.now = 100.0
        self.tracks = {kind: Received() for kind in MediaKind}
        self.relay = UplinkRelay(self.tracks, clock=lambda: self.now)

    def send(self, *numbers: int, zero: int = 0) -> None:
        """Frames of 30 frames a second, each with a packet of audio of the same time."""
        for number in numbers:
            timestamp = zero + 3000 * number
            payloads = tuple(payloads_of(Codec.H264, FRAMES[number]))
            unit = Unit(kind=MediaKind.VIDEO, timestamp=timestamp, is_keyframe=number == 0, payloads=payloads)
            self.relay.relay_unit(unit)
            audio = Unit(kind=MediaKind.AUDIO, timestamp=timestamp * 48 // 90, is_keyframe=True, payloads=(b"opus",))
            self.relay.relay_unit(audio)
            self.now += 1 / 30


def test_payloads_are_whole_frames_and_audio_is_in_sync() -> None:
    uplinked = Uplinked()
    uplinked.relay.start_encoder("", ())
    uplinked.send(0, 1, 2)
    video, audio = uplinked.tracks[MediaKind.VIDEO], uplinked.tracks[MediaKind.AUDIO]
    assert video.bodies == [normalised(frame) for frame in FRAMES[:3]]
    assert audio.bodies == [b"opus"] * 3
    assert {after - before for before, after in pairwise(video.ticks)} == {3000}
    assert {after - before for before, after in pairwise(audio.ticks)} == {1600}
    assert abs(video.ticks[0] / 90_000 - audio.ticks[0] / 48_000) < 1e-4


def test_a_late_publisher_begins_with_the_frames_since_the_keyframe() -> None:
    uplinked = Uplinked()
    gop = [TimedFrame(3000 * number, tuple(payloads_of(Codec.H264, FRAMES[number]))) for number in range(3)]
    uplinked.relay.start_encoder("", gop)
    uplinked.send(3)
    video = uplinked.tracks[MediaKind.VIDEO]
    assert video.bodies == [normalised(frame) for frame in FRAMES[:4]]
    assert {after - before for before, after in pairwise(video.ticks)} <= {2999, 3000, 3001}


def test_timestamps_go_on_when_another_encoder_takes_over() -> None:
    uplinked = Uplinked()
    uplinked.relay.start_encoder("", ())
    uplinked.send(0, 1, 2)
    uplinked.now += 1.0
    uplinked.relay.start_encoder("", ())
    uplinked.send(0, 1, zero=90_000 * 5_000)
    for kind, rate in ((MediaKind.VIDEO, 90_000), (MediaKind.AUDIO, 48_000)):
        ticks = uplinked.tracks[kind].ticks
        assert ticks == sorted(set(ticks))
        gap_seconds = (ticks[3] - ticks[2]) / rate
        assert 1.0 <= gap_seconds <= 1.1


def test_nothing_is_handed_on_after_the_end() -> None:
    uplinked = Uplinked()
    uplinked.relay.start_encoder("", ())
    uplinked.relay.close()
    uplinked.send(0)
    assert uplinked.tracks[MediaKind.VIDEO].bodies == []


def test_an_encoder_after_a_fast_one_keeps_its_pace() -> None:
    uplinked = Uplinked()
    uplinked.relay.start_encoder("", ())
    for number in range(6):
        uplinked.send(number)
        uplinked.now -= 1 / 30
    uplinked.relay.start_encoder("", ())
    uplinked.send(0, 1, zero=90_000)
    for kind, step in ((MediaKind.VIDEO, 3000), (MediaKind.AUDIO, 1600)):
        ticks = uplinked.tracks[kind].ticks
        assert ticks[6] > ticks[5]
        assert abs(ticks[7] - ticks[6] - step) <= 1

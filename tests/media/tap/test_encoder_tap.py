"""The units of encoders as frames."""

from itertools import pairwise

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.sfu.relay.relay_messages import EncoderRelayed, FrameCached
from stagebook.media.tap.source_tap import SourceTap
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.tap.sent_packets import h264_frames, normalised, payloads_of

FRAMES = h264_frames()
ZERO = 90_000 * 1000
"""Where the encoder's clock is at the first frame."""


class TappedEncoder:
    """A tap of encoders."""

    def __init__(self) -> None:
        self.now = 50.0
        self.frames: list[TappedFrame] = []
        self.tap = SourceTap(hand_on=self.frames.append, ask_for_keyframe=lambda _: None, now=self.now)

    def start(self, *cached: int, zero: int = ZERO) -> None:
        """An encoder feeds the source, whose GOP so far has the frames with these numbers."""
        self.tap.receive(EncoderRelayed(video_parameters=""), self.now)
        for number in cached:
            payloads = tuple(payloads_of(Codec.H264, FRAMES[number]))
            message = FrameCached(payloads=payloads, is_keyframe=number == 0, timestamp=zero + 3000 * number)
            self.tap.receive(message, self.now)

    def send(self, *numbers: int, zero: int = ZERO) -> None:
        for number in numbers:
            payloads = tuple(payloads_of(Codec.H264, FRAMES[number]))
            unit = Unit(
                kind=MediaKind.VIDEO,
                timestamp=zero + 3000 * number,
                is_keyframe=number == 0,
                payloads=payloads,
            )
            self.tap.receive(unit, self.now)
            self.now += 1 / 30

    def say(self, packet: bytes, number: int) -> None:
        """Send a packet of audio with the time of a frame."""
        timestamp = (ZERO + 3000 * number) * 48 // 90
        self.tap.receive(
            Unit(kind=MediaKind.AUDIO, timestamp=timestamp, is_keyframe=True, payloads=(packet,)), self.now
        )

    @property
    def video(self) -> list[TappedFrame]:
        return [frame for frame in self.frames if frame.kind is MediaKind.VIDEO]


def test_units_are_frames_on_one_timeline() -> None:
    encoder = TappedEncoder()
    encoder.start()
    encoder.send(0, 1)
    encoder.say(b"a", 1)
    encoder.send(2)
    assert [frame.body for frame in encoder.video] == [normalised(frame) for frame in FRAMES[:3]]
    audio = next(frame for frame in encoder.frames if frame.kind is MediaKind.AUDIO)
    assert audio.time_us == encoder.video[1].time_us
    assert audio.codec is Codec.OPUS


def test_a_tap_begins_with_the_frames_since_the_last_keyframe_at_their_times() -> None:
    encoder = TappedEncoder()
    encoder.start(0, 1, 2, 3)
    encoder.say(b"a", 4)
    encoder.send(4, 5)
    assert len(encoder.video) == 6
    assert {after.time_us - before.time_us for before, after in pairwise(encoder.video)} == {33_333, 33_334}
    audio = next(frame for frame in encoder.frames if frame.kind is MediaKind.AUDIO)
    assert audio.time_us == encoder.video[4].time_us


def test_a_tap_without_them_waits_for_a_keyframe() -> None:
    encoder = TappedEncoder()
    encoder.start()
    encoder.send(4, 5)
    assert encoder.video == []
    encoder.send(0, 1, zero=ZERO + 90_000)
    assert len(encoder.video) == 2


def test_the_other_encoder_of_a_redundant_source_goes_on_after_the_first() -> None:
    encoder = TappedEncoder()
    encoder.start()
    encoder.send(*range(12))
    last_us = encoder.video[-1].time_us
    # The standby's GOP began before the first encoder ended.
    encoder.start(*range(8), zero=55)
    encoder.send(8, 9, zero=55)
    assert [frame.is_new_stream for frame in encoder.video] == [False] * 12 + [True] + [False] * 9
    times = [frame.time_us for frame in encoder.video[11:]]
    assert all(before < after for before, after in pairwise(times))
    assert abs(encoder.video[-1].time_us - last_us - 66_667) <= 1
    cached_steps = [after - before for before, after in pairwise(times[:10])]
    assert max(cached_steps) - min(cached_steps) <= 1
    assert abs(times[9] - last_us - 33_333) <= 1


def test_an_encoder_with_a_fast_clock_is_followed_by_one_that_comes_later() -> None:
    encoder = TappedEncoder()
    encoder.start()
    encoder.send(0)
    encoder.send(1, zero=ZERO + 900_000)
    encoder.start(zero=55)
    encoder.send(0, 1, zero=55)
    assert encoder.video[3].time_us - encoder.video[2].time_us >= 33_333
    assert encoder.video[2].time_us > encoder.video[1].time_us

"""RTP timestamps and sender reports that lie, through a tap, cost a recording a bounded number of streams."""

from collections.abc import Callable
from random import Random

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.recording.stream_rate_limit import MAX_STREAMS, STREAM_INTERVAL_SECONDS
from tests.media.recording.hls_rules import check_recording
from tests.media.recording.recorded_publisher import START_MS, RecordedPublisher
from tests.media.recording.tapped_media import opus_packets, second_of_pictures
from tests.media.tap.tapped_publisher import TappedPublisher

SECONDS = 12
VIDEO_SSRC, AUDIO_SSRC = 1, 7
FRAMES_PER_SECOND = 30

Distortion = Callable[[Random, int, float], int]
"""From a clock rate and the seconds of a frame to its RTP timestamp."""


class RecordedTap:
    """A publisher's packets, through a tap, in a recording."""

    def __init__(self) -> None:
        self.publisher = TappedPublisher()
        self.recorded = RecordedPublisher()
        self._began = self.publisher.now

    def play(self, audio: Distortion, video: Distortion, *, report_ntp: Callable[[Random, float], float]) -> None:
        """Send SECONDS of media, with a report of each stream every second."""
        random, publisher = Random(1), self.publisher
        packets, frames = opus_packets(1, 0.0), second_of_pictures()
        for number in range(SECONDS * FRAMES_PER_SECOND):
            seconds = number / FRAMES_PER_SECOND
            at = video(random, 90_000, seconds)
            if number % FRAMES_PER_SECOND == 0:
                publisher.report(ssrc=VIDEO_SSRC, ntp_seconds=report_ntp(random, seconds), timestamp=at)
                publisher.report(
                    ssrc=AUDIO_SSRC,
                    ntp_seconds=report_ntp(random, seconds),
                    timestamp=audio(random, 48_000, seconds),
                )
            publisher.say(packets[number % len(packets)], ssrc=AUDIO_SSRC, at=audio(random, 48_000, seconds))
            publisher.now -= 0.02
            publisher.send(frames[number % FRAMES_PER_SECOND], codec=Codec.H264, ssrc=VIDEO_SSRC, at=at)
            self._record(is_second=number % FRAMES_PER_SECOND == 0)
        self.recorded.recorder.end()

    def _record(self, *, is_second: bool) -> None:
        self.recorded.now_ms = START_MS + round((self.publisher.now - self._began) * 1_000)
        if is_second:
            self.recorded.recorder.tick()
        for frame in self.publisher.frames:
            self.recorded.recorder.receive(frame)
        self.publisher.frames.clear()


def _true(random: Random, rate: int, seconds: float) -> int:  # noqa: ARG001 - a Distortion
    return round(rate * seconds)


def _random(random: Random, rate: int, seconds: float) -> int:  # noqa: ARG001 - a Distortion
    return random.getrandbits(32)


def _back_and_forth(random: Random, rate: int, seconds: float) -> int:
    return round(rate * (seconds + random.choice((0, 4, 60)))) % 2**32


def _lagging(random: Random, rate: int, seconds: float) -> int:  # noqa: ARG001 - a Distortion
    """The clock of a publisher that has too little processor time: it loses 0.4 s each second."""
    return round(rate * seconds * 0.6)


def _true_ntp(random: Random, seconds: float) -> float:  # noqa: ARG001 - of the interface
    return 1_000 + seconds


def _lying_ntp(random: Random, seconds: float) -> float:
    return 1_000 + seconds + random.choice((-0.9, 0.9, 4.0, 3_600.0))


@pytest.mark.parametrize("report_ntp", [_true_ntp, _lying_ntp])
@pytest.mark.parametrize(
    ("audio", "video"),
    [(_random, _random), (_true, _random), (_back_and_forth, _back_and_forth), (_true, _lagging), (_true, _true)],
)
def test_timestamps_that_lie_begin_few_streams(
    audio: Distortion, video: Distortion, report_ntp: Callable[[Random, float], float]
) -> None:
    tap = RecordedTap()
    tap.play(audio, video, report_ntp=report_ntp)
    recording = check_recording(tap.recorded.objects.bodies)
    streams = 1 + sum(segment.is_discontinuity for segment in recording.segments)
    assert streams <= (1 if audio is _true else MAX_STREAMS + SECONDS // STREAM_INTERVAL_SECONDS)
    assert recording.duration_seconds <= SECONDS + 3
    if audio is not _back_and_forth and report_ntp is _true_ntp:
        assert recording.duration_seconds >= SECONDS - 1

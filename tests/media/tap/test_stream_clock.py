"""The time of RTP timestamps: synchronisation, drift, wraps, and senders with wrong clocks."""

import random
from itertools import pairwise

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.tap.source_timeline import MAX_AHEAD_US, MAX_BACK_US, ORIGIN_US, SourceTimeline
from stagebook.media.tap.stream_clock import MAX_DIFFERENCE_US, PublisherClock, StreamClock

LIP_SYNC_US = 40_000
NTP_START_SECONDS = 3_900_000_000
HOUR_US = 3_600_000_000


class SimulatedStream:
    """A stream of a sender, with its own clock and delay. Times are in seconds."""

    def __init__(
        self,
        clock: PublisherClock,
        kind: MediaKind,
        *,
        rate_error: float = 0.0,
        delay: float = 0.0,
        jitter: float = 0.0,
        first: int = 0,
        ntp_drift: float = 0.0,
    ) -> None:
        self.rate = 90_000 if kind is MediaKind.VIDEO else 48_000
        self.clock = StreamClock(kind, clock_rate=self.rate, publisher=clock)
        self.rate_error, self.delay, self.jitter, self.first = rate_error, delay, jitter, first
        self.ntp_drift = ntp_drift
        self.ntp_step = 0.0
        self.random = random.Random(1)

    def timestamp(self, captured: float) -> int:
        return (self.first + round(captured * self.rate * (1 + self.rate_error))) & 0xFFFFFFFF

    def send(self, captured: float) -> float:
        """Send what was captured. Returns its time on the timeline in microseconds."""
        self.clock.arrive(self.timestamp(captured), captured + self.delay + self.random.uniform(0, self.jitter))
        return self.clock.time_us(self.timestamp(captured))

    def report(self, at: float, noise: float = 0.0) -> None:
        seconds = NTP_START_SECONDS + at * (1 + self.ntp_drift) + self.ntp_step + self.random.uniform(-noise, noise)
        self.clock.report(ntp=int(seconds * (1 << 32)), timestamp=self.timestamp(at), now=at + self.delay)


def publisher() -> PublisherClock:
    return PublisherClock(SourceTimeline(0.0))


@pytest.mark.parametrize(
    ("audio_error", "video_error"),
    [(0.0, 0.0), (0.0001, -0.0001), (0.02, 0.0), (0.0, -0.02), (-0.001, 0.001)],
)
def test_audio_and_video_stay_in_sync_for_an_hour(audio_error: float, video_error: float) -> None:
    clock = publisher()
    audio = SimulatedStream(clock, MediaKind.AUDIO, rate_error=audio_error, jitter=0.02, first=2**32 - 900_000)
    video = SimulatedStream(
        clock, MediaKind.VIDEO, rate_error=video_error, delay=0.1, jitter=0.05, first=2**32 - 90_000
    )
    worst = 0.0
    for second in range(3600):
        for part in (0.1, 0.35, 0.6, 0.85):
            captured = second + part
            difference = abs(audio.send(captured) - video.send(captured))
            worst = max(worst, difference if second > 20 else 0.0)
        video.report(second + 0.99, noise=0.003)
        if second % 5 == 0:
            audio.report(second + 0.99, noise=0.003)
    assert worst < LIP_SYNC_US


def test_without_reports_wrong_clocks_stay_in_sync_by_arrival() -> None:
    clock = publisher()
    audio = SimulatedStream(clock, MediaKind.AUDIO, rate_error=0.005)
    video = SimulatedStream(clock, MediaKind.VIDEO, jitter=0.01)
    worst = max(abs(audio.send(second / 10) - video.send(second / 10)) for second in range(36_000) if second % 10 < 9)
    assert worst < LIP_SYNC_US


def test_time_begins_with_the_arrival() -> None:
    video = SimulatedStream(publisher(), MediaKind.VIDEO, first=1234)
    assert video.send(2.0) == pytest.approx(ORIGIN_US + 2e6, abs=1)


def test_the_first_report_does_not_make_time_jump() -> None:
    clock = publisher()
    audio = SimulatedStream(clock, MediaKind.AUDIO)
    video = SimulatedStream(clock, MediaKind.VIDEO, delay=0.2)
    video_times, audio_times = [], []
    for number in range(600):
        captured = number / 30
        audio_times.append(audio.send(captured))
        video_times.append(video.send(captured))
        if number in (60, 90, 120):
            video.report(captured)
        if number in (75, 150):
            audio.report(captured)
    for times in (audio_times, video_times):
        steps = [after - before for before, after in pairwise(times)]
        assert min(steps) > 0.9 * 1e6 / 30
        assert max(steps) < 1.1 * 1e6 / 30
    # Sound is heard when it changes its speed: the video follows the audio.
    assert audio_times[-1] - audio_times[0] == pytest.approx(599 / 30 * 1e6, abs=100)
    assert video_times[70] - audio_times[70] == pytest.approx(200_000, abs=100)
    assert video_times[-1] - audio_times[-1] == pytest.approx(0, abs=100)


def test_timestamps_wrap() -> None:
    video = SimulatedStream(publisher(), MediaKind.VIDEO, first=2**32 - 4500)
    times = [video.send(number / 30) for number in range(10)]
    assert [round(time) for time in times] == [round(ORIGIN_US + number * 1e6 / 30) for number in range(10)]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_jump_of_the_sender_s_clock_does_not_tear_audio_and_video_apart(step: float) -> None:
    clock = publisher()
    streams = [SimulatedStream(clock, kind, delay=0.05) for kind in MediaKind]
    worst = 0.0
    for number in range(3000):
        captured = number / 30
        audio, video = (stream.send(captured) for stream in streams)
        worst = max(worst, abs(audio - video) if number > 300 else 0.0)
        if number == 1500:
            for stream in streams:
                stream.ntp_step = step
        if number % 60 == 0:
            streams[1].report(captured)
        if number % 90 == 0:
            streams[0].report(captured)
    assert worst < LIP_SYNC_US


@pytest.mark.parametrize("jump", [-(1 << 31) + 5, -900_000, 900_000, (1 << 31) - 5])
@pytest.mark.parametrize("has_reports", [True, False])
def test_a_jump_of_timestamps_is_followed(jump: int, has_reports: bool) -> None:  # noqa: FBT001 - a parameter
    clock = publisher()
    audio, video = SimulatedStream(clock, MediaKind.AUDIO), SimulatedStream(clock, MediaKind.VIDEO)
    times = []
    for number in range(1800):
        if number == 900:
            video.first += jump
        captured = number / 30
        times.append((audio.send(captured), video.send(captured)))
        # What was handed on with a time of the future would hold up all that follows.
        assert max(times[-1]) < ORIGIN_US + captured * 1e6 + MAX_DIFFERENCE_US + 1
        if has_reports and number % 30 == 0:
            for stream in (audio, video):
                stream.report(captured)
    assert times[-1][1] - times[-1][0] == pytest.approx(0, abs=LIP_SYNC_US)


def test_timestamps_that_jump_back_are_followed_without_further_reports() -> None:
    clock = publisher()
    audio, video = SimulatedStream(clock, MediaKind.AUDIO), SimulatedStream(clock, MediaKind.VIDEO)
    times = []
    for number in range(900):
        if number == 300:
            video.first -= 900_000
        captured = number / 30
        times.append((audio.send(captured), video.send(captured)))
        if number in (30, 60, 90):
            for stream in (audio, video):
                stream.report(captured)
    assert times[-1][1] - times[-1][0] == pytest.approx(0, abs=LIP_SYNC_US)


def test_a_report_without_a_time_is_ignored() -> None:
    video = SimulatedStream(publisher(), MediaKind.VIDEO)
    before = video.send(0.0)
    video.clock.report(ntp=0, timestamp=0, now=0.1)
    assert video.send(1.0) - before == pytest.approx(1e6, abs=1)


def test_a_drift_between_the_sender_s_clock_and_ours_is_no_jump() -> None:
    clock = publisher()
    streams = [SimulatedStream(clock, kind, rate_error=0.0005, ntp_drift=0.0005) for kind in MediaKind]
    previous = [0.0, 0.0]
    for second in range(2 * 3600):
        times = [stream.send(float(second)) for stream in streams]
        if second > 1:
            assert max(abs(time - before - 1e6) for time, before in zip(times, previous, strict=True)) < 2_000
        previous = times
        for stream in streams:
            stream.report(second + 0.5)


def test_each_kind_s_time_grows_whatever_is_claimed() -> None:
    timeline = SourceTimeline(0.0)
    claimed = [timeline.claim(MediaKind.VIDEO, time, 0.0) for time in (5_000, 5_000, 4_000, 5_500, 90_000)]
    assert claimed == [5_000, 6_000, 7_000, 8_000, 90_000]
    timeline.begin(0.0)
    assert timeline.arrival_us(0.0) > ORIGIN_US - 1


@pytest.mark.parametrize("jump_us", [-MAX_BACK_US - 1, -HOUR_US, MAX_AHEAD_US + 33_001, HOUR_US])
def test_a_kind_whose_clock_jumps_goes_on(jump_us: int) -> None:
    timeline = SourceTimeline(0.0)
    for kind in MediaKind:
        timeline.claim(kind, 2 * HOUR_US, 0.0)
    assert timeline.claim(MediaKind.VIDEO, 2 * HOUR_US + jump_us, 0.033) == 2 * HOUR_US + 33_000
    assert timeline.claim(MediaKind.VIDEO, 2 * HOUR_US + jump_us + 40_000, 0.066) == 2 * HOUR_US + 73_000
    assert timeline.claim(MediaKind.AUDIO, 2 * HOUR_US + 20_000, 0.066) == 2 * HOUR_US + 20_000
    timeline.begin(10_000.0)
    assert timeline.claim(MediaKind.VIDEO, 10_000e6, 10_000.0) == 10_000_000_000


def test_frames_that_waited_and_a_pause_are_no_jump() -> None:
    timeline = SourceTimeline(0.0)
    timeline.claim(MediaKind.VIDEO, 1_000_000, 0.0)
    assert timeline.claim(MediaKind.VIDEO, 1_033_000, 9.0) == 1_033_000
    assert timeline.claim(MediaKind.VIDEO, 10_000_000, 9.0) == 10_000_000
    assert timeline.claim(MediaKind.VIDEO, HOUR_US, 3_600.0) == HOUR_US


@pytest.mark.parametrize("first", MediaKind)
def test_reports_of_another_clock_than_the_other_stream_s_are_not_believed(first: MediaKind) -> None:
    clock = publisher()
    audio, video = SimulatedStream(clock, MediaKind.AUDIO), SimulatedStream(clock, MediaKind.VIDEO)
    video.ntp_step = 86_400.0
    for number in range(300):
        captured = number / 30
        assert abs(audio.send(captured) - video.send(captured)) < LIP_SYNC_US
        if number % 30 == 0:
            for stream in (audio, video) if first is MediaKind.AUDIO else (video, audio):
                stream.report(captured)

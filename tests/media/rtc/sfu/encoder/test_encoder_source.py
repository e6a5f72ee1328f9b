"""Several feeds of one source: which one is active, when another replaces it, and continuous timestamps."""

from itertools import pairwise
from typing import TypeAlias, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES, Unit
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.encoder_source import SILENCE_SECONDS, EncoderSource
from stagebook.media.rtc.sfu.encoder.replay_pacer import INTERVAL_SECONDS, ReplayPacer
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer import Viewer
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


def test_the_first_feed_with_a_frame_is_active_and_a_standby_feed_is_not_sent() -> None:
    scenario = Scenario()
    scenario.open_feed("a")
    scenario.send_audio("a")
    scenario.open_feed("b")
    for _ in range(2):
        scenario.send_both("a", "b", key=True)
    assert scenario.video_payloads() == ["a:1:key", "a:2:key"]
    assert scenario.audio_payloads() == ["a", "a"]
    assert scenario.source.format.video_parameters.endswith(";a")


def test_when_the_active_feed_is_closed_the_standby_continues_from_its_keyframe() -> None:
    scenario = after_frames(3)
    scenario.source.remove("a")
    scenario.send_audio("b")
    scenario.send_both("b")
    scenario.send_both("b")
    assert scenario.video_payloads() == ["a:1:key", "a:2:", "a:3:", "b:1:key", "b:2:", "b:3:", "b:4:", "b:5:"]
    assert scenario.audio_payloads() == ["a", "a", "a", "b", "b"]
    assert scenario.source.format.video_parameters.endswith(";b")


def test_an_ended_feed_is_replaced_by_the_next_frame_of_a_standby() -> None:
    scenario = after_frames(1)
    scenario.source.set_ended("a")
    scenario.loop.run_all()
    scenario.send_both("b")
    assert scenario.video_payloads() == ["a:1:key", "b:1:key", "b:2:"]


def test_an_ended_standby_does_not_become_active() -> None:
    scenario = after_frames(1)
    scenario.source.set_ended("b")
    scenario.source.set_ended("unknown")
    scenario.source.remove("a")
    scenario.source.remove("unknown")
    scenario.send_both(key=True)
    assert scenario.video_payloads() == ["a:1:key"]


def test_a_silent_feed_is_replaced_and_does_not_become_active_again_by_itself() -> None:
    scenario = after_frames(1)
    for _ in range(round(SILENCE_SECONDS * 30) - 2):
        scenario.send_both("b")
    assert scenario.source.active is scenario.source.feeds["a"]
    for _ in range(4):
        scenario.send_audio("a")
        scenario.send_both("b")
    assert scenario.source.active is scenario.source.feeds["b"]
    for _ in range(60):
        scenario.send_both("a", "b")
    assert scenario.source.active is scenario.source.feeds["b"]
    assert "a" not in {payload.partition(":")[0] for payload in scenario.video_payloads()[1:]}


def test_a_silent_feed_stays_active_without_a_standby_that_sends_video() -> None:
    scenario = Scenario()
    scenario.open_feed("a")
    scenario.open_feed("b")
    scenario.send_both("a", key=True)
    for _ in range(60):
        scenario.send_audio("b")
        scenario.pass_time()
    assert scenario.source.active is scenario.source.feeds["a"]
    scenario.send_both("a")
    assert scenario.video_payloads() == ["a:1:key", "a:2:"]


def test_an_ended_feed_is_replaced_by_a_new_feed() -> None:
    scenario = Scenario()
    scenario.open_feed("a")
    scenario.send_both("a", key=True)
    scenario.source.set_ended("a")
    scenario.open_feed("b")
    scenario.send_both("b", key=True)
    assert scenario.video_payloads() == ["a:1:key", "b:1:key"]
    assert scenario.audio_payloads() == ["a", "b"]


def test_switching_back_and_forth_adds_no_delay() -> None:
    scenario = after_frames(30)
    for _ in range(40):
        scenario.send_both("b")
    scenario.source.remove("b")
    scenario.send_both("a", key=True)
    elapsed, packets = scenario.loop.now - FRAME_SECONDS - 100.0, scenario.video.packets
    assert payload_strings(packets)[-1] == f"a:{scenario.numbers['a']}:key"
    assert (packets[-1].timestamp - packets[0].timestamp) / 90_000 == pytest.approx(elapsed, abs=0.05)


@pytest.mark.parametrize(("first", "second", "delay"), [(0.2, 0.0, 0.2), (0.2, 0.2, 0.0), (0.0, -0.2, 0.2)])
def test_audio_continues_across_a_switch_however_far_it_is_ahead_of_the_video(
    first: float, second: float, delay: float
) -> None:
    scenario, audio_leads = Scenario(), {"a": first, "b": second}
    for name in audio_leads:
        scenario.open_feed(name)
    for number in range(20):
        for name in audio_leads if number < 10 else "b":
            scenario.send_video(name, key=number == 0)
            scenario.send_audio(name, ahead=audio_leads[name])
        scenario.pass_time()
        if number == 9:
            scenario.source.remove("a")
    scenario.loop.run_all()
    audio, video = scenario.audio.packets, scenario.video.packets
    assert payload_strings(audio) == ["a"] * 10 + ["b"] * 10
    assert all(0 < packet.timestamp - before.timestamp < 48_000 for before, packet in pairwise(audio))
    assert (video[-1].timestamp - video[0].timestamp) / 90_000 == pytest.approx(19 * FRAME_SECONDS + delay, abs=0.05)


class RecordingViewer:
    """Records the sender reports for both tracks."""

    def __init__(self) -> None:
        self.reports: list[tuple[MediaKind, DownTrack | None, float]] = []

    def send_report(self, track: SourceTrack, *, ntp: int, rtp_timestamp: int, only: DownTrack | None = None) -> None:
        """Record the report: the kind, the down track, and the RTP timestamp in seconds."""
        assert ntp == (1_000_000 + 2_208_988_800) << 32
        self.reports.append((track.kind, only, rtp_timestamp / track.clock_rate))


def test_a_viewer_is_sent_a_report_when_it_starts_and_then_each_second() -> None:
    scenario, viewer = Scenario(), RecordingViewer()
    scenario.source.viewers["v"] = cast("Viewer", viewer)
    scenario.open_feed("a")
    scenario.send_video("a", key=True)
    scenario.send_audio("a")
    assert [(kind, only) for kind, only, _ in viewer.reports] == [
        (MediaKind.VIDEO, scenario.video.down_track),
        (MediaKind.AUDIO, scenario.audio.down_track),
    ]
    late = FakeViewer(ssrc=3)
    scenario.source.tracks[MediaKind.VIDEO].add(late.down_track, scenario.loop.now)
    then, scenario.loop.now = scenario.loop.now, scenario.loop.now - INTERVAL_SECONDS
    scenario.loop.run_all()
    assert scenario.loop.now == then
    assert {(kind, only) for kind, only, _ in viewer.reports[2:]} == {(MediaKind.VIDEO, late.down_track)}
    scenario.source.each_second(scenario.loop.now)
    assert [(kind, only) for kind, only, _ in viewer.reports[-2:]] == [(MediaKind.VIDEO, None), (MediaKind.AUDIO, None)]
    assert {seconds for _, _, seconds in viewer.reports} == {viewer.reports[0][2]}


def test_after_the_last_feed_a_new_one_starts_with_its_first_keyframe() -> None:
    scenario = Scenario()
    scenario.open_feed("a")
    scenario.send_both("a", key=True)
    scenario.source.remove("a")
    scenario.open_feed("b")
    scenario.send_both("b")
    scenario.send_both("b", key=True)
    scenario.send_both("b")
    assert scenario.video_payloads() == ["a:1:key", "b:2:key", "b:3:"]


def test_of_several_standbys_the_first_to_send_a_frame_becomes_active() -> None:
    scenario = Scenario()
    for name in "abc":
        scenario.open_feed(name)
    scenario.send_both("a", "b", "c", key=True)
    scenario.source.remove("a")
    scenario.send_audio("b")
    scenario.send_both("c")
    scenario.send_both("b", "c")
    assert scenario.source.active is scenario.source.feeds["c"]
    assert scenario.audio_payloads() == ["a", "c", "c"]


def test_each_feed_is_measured() -> None:
    scenario = after_frames(3)
    scenario.open_feed("c")
    facts = {fact.connection_id: fact for fact in scenario.source.measure(scenario.loop.now)}
    assert {name: (fact.video_codec, fact.audio_codec) for name, fact in facts.items()} == {
        "a": ("H264", "opus"),
        "b": ("H264", "opus"),
        "c": (None, None),
    }


Event: TypeAlias = tuple[str, str]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["video", "video", "key", "audio", "audio", "time", "stall", "turn", "remove", "end"]),
        st.sampled_from("abc"),
    ),
    max_size=80,
)


def apply(scenario: Scenario, event: Event) -> None:
    """Apply one event. A feed is added with its first unit."""
    kind, name = event
    if kind in ("time", "stall"):
        scenario.pass_time(FRAME_SECONDS if kind == "time" else SILENCE_SECONDS)
    elif kind == "turn":
        scenario.loop.run()
    elif kind == "remove":
        scenario.source.remove(name)
    elif kind == "end":
        scenario.source.set_ended(name)
    else:
        if name not in scenario.source.feeds:
            scenario.open_feed(name)
        # An encoder never sends two units of one kind with the same timestamp.
        scenario.media_seconds[name] += FRAME_SECONDS / 8
        scenario.loop.now += FRAME_SECONDS / 8
        if kind == "audio":
            scenario.send_audio(name)
        else:
            scenario.send_video(name, key=kind == "key")


@settings(max_examples=200)
@example(
    [
        *[("video", "a"), ("stall", "a"), ("video", "b"), ("remove", "b")],
        *[("audio", "a"), ("video", "b"), ("audio", "b")],
    ]
)
@given(EVENTS)
def test_after_any_events_both_streams_are_continuous(events: list[Event]) -> None:
    scenario = Scenario()
    for event in events:
        apply(scenario, event)
    for viewer in (scenario.video, scenario.audio):
        packets = viewer.packets
        for before, packet in pairwise(packets):
            assert packet.sequence == (before.sequence + 1) & 0xFFFF
            assert 0 < (packet.timestamp - before.timestamp) & 0xFFFFFFFF < 2**31
        if viewer is scenario.video:
            assert is_decodable(payload_strings(packets))


def is_decodable(frames: list[str]) -> bool:
    """Whether each frame is a keyframe or follows its predecessor."""
    before = ("", 0)
    for frame in frames:
        name, number, key = frame.split(":")
        if not key and before != (name, int(number) - 1):
            return False
        before = (name, int(number))
    return True

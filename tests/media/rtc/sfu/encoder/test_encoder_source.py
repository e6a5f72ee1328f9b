"""Several feeds of one source: which one is active, when another replaces it, and continuous timestamps."""

from itertools import pairwise
from typing import cast

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_source import SILENCE_SECONDS
from stagebook.media.rtc.sfu.encoder.replay_pacer import INTERVAL_SECONDS
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer import Viewer
from tests.media.rtc.sfu.encoder.encoder_source_scenario import (
    FRAME_SECONDS,
    Scenario,
    after_frames,
    payload_strings,
)
from tests.media.rtc.sfu.fake_viewer import FakeViewer


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

"""Viewers of a simulcast publisher, or of one with a single layer, whose lines carry more and less over time."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.connection_statistics import LayerReason
from stagebook.media.port import LayerChoice, LayerMode, MediaRefusedError, RefusalReason
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, timestamp_distance
from stagebook.media.rtc.sfu.incoming_track import MAX_SIZE_REQUESTS
from stagebook.media.rtc.sfu.simulcast.layer_allocation import LayerAllocation
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from tests.media.rtc.operation_count import count_operations
from tests.media.rtc.sfu.simulcast.layer_scenario import SIZES, LayerScenario, Watching, rid_of

PACKETS = {"low": 1, "mid": 2, "high": 4, "only": 4}
"""The packets of a frame of each layer. One takes 72 kbit/s, half of that with two temporal layers, and a quarter with
one."""
FILLER_BYTES = 250


class Line:
    """A viewer's bandwidth, as its estimate knows it."""

    def __init__(self) -> None:
        self.estimate_bps: int | None = None
        self.before_silence_bps: int | None = None
        self.on_estimate_fell: Callable[[float], None] | None = None
        self.is_full = True

    @property
    def known_bps(self) -> int | None:
        """The estimate, without what a silence has lowered."""
        return self.before_silence_bps or self.estimate_bps

    def may_raise(self, bitrate_bps: int, now: float) -> bool:  # noqa: ARG002 - the answer does not depend on the time
        """Whether so much fits."""
        return self.estimate_bps is None or bitrate_bps <= self.estimate_bps


class Viewer(Watching):
    """A viewer with a line."""

    def __init__(self, scenario: "AllocationScenario", ssrc: int) -> None:
        super().__init__(scenario.tracks, ssrc)
        self.bandwidth = Line()
        self.audio_copies = 1
        self._scenario = scenario

    @property
    def video(self) -> ViewerTrack:
        return self.track

    def narrow(self, bitrate_bps: int) -> None:
        """The estimate falls."""
        self.bandwidth.estimate_bps = bitrate_bps
        if self.bandwidth.on_estimate_fell is not None:
            self.bandwidth.on_estimate_fell(self._scenario.now)


class AllocationScenario(LayerScenario):
    """A publisher whose layers have clearly different bitrates, and viewers with lines."""

    def __init__(self, rids: Iterable[str] = SIZES) -> None:
        self.limits: list[int | None] = []
        self.viewers: list[Viewer] = []
        super().__init__(rids)
        self.allocation = LayerAllocation(self.tracks, limit_publisher=self.limits.append)
        self.run(1)

    def publish(self, rids: Iterable[str] = SIZES, *, first: int = 1000) -> None:
        super().publish(rids, first=first)
        for layer in self.sent.values():
            layer.filler_bytes = FILLER_BYTES

    def send_frame(self, *rids: str, packets: int = 0) -> None:
        """As of LayerScenario, with more packets for larger layers."""
        self.advance()
        for rid in rids or tuple(self.sent):
            self.send_frame_of(rid, packets=packets or PACKETS[rid])

    def watching(self, bitrate_bps: int | None = None) -> Viewer:
        """A viewer that has been sent something, with this estimate."""
        viewer = Viewer(self, ssrc=5 + len(self.viewers))
        self.viewers.append(viewer)
        viewer.track.start(self.now)
        viewer.bandwidth.estimate_bps = bitrate_bps
        self.run(2)
        self.requested.clear()
        viewer.received()
        return viewer

    def tick(self) -> None:
        super().tick()
        self.allocation.handle_timers(self.viewers, self.now)

    def choose(self, viewer: Viewer, mode: LayerMode, encoding_id: str | None = None) -> None:
        """Let a viewer choose."""
        self.allocation.choose(viewer, viewer.video, LayerChoice(mode=mode, encoding_id=encoding_id), self.now)


def frames(packets: list[RtpPacket]) -> list[tuple[str, int]]:
    """The layer and the temporal layer of each frame."""
    read = [(rid_of(packet.payload), parse_descriptor(packet.payload)) for packet in packets]
    return [(rid, found.temporal_id) for rid, found in read if found is not None and found.starts_frame]


def check_continuous(packets: list[RtpPacket]) -> None:
    for before, after in pairwise(packets):
        assert after.sequence == before.sequence + 1
        assert 0 <= timestamp_distance(after.timestamp, before.timestamp) < 90_000 * 30
        first, second = parse_descriptor(before.payload), parse_descriptor(after.payload)
        assert first is not None
        assert first.picture_id is not None
        assert second is not None
        assert second.picture_id is not None
        assert (second.picture_id - first.picture_id) & 0x7FFF in (0, 1)


def test_one_viewer_with_a_slow_line_gets_less_and_the_others_notice_nothing() -> None:
    scenario = AllocationScenario()
    slow, *others = [scenario.watching(3_000_000) for _ in range(4)]
    slow.narrow(33_000)
    scenario.run(5)
    assert {rid_of(each.payload) for each in slow.packets[-20:]} == {"low"}
    assert scenario.requested == ["low"]
    slow.datagrams.clear()
    slow.bandwidth.estimate_bps = 3_000_000
    scenario.run(5)
    assert {rid_of(each.payload) for each in slow.packets[-20:]} == {"high"}
    for other in others:
        packets = other.packets
        check_continuous(packets)
        assert {rid_of(each.payload) for each in packets} == {"high"}


def test_the_stream_of_a_viewer_continues_through_all_changes() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    for bitrate_bps in (250_000, 90_000, 20_000, 160_000, 3_000_000, 60_000, 3_000_000):
        viewer.narrow(bitrate_bps)
        scenario.run(4)
    packets = viewer.packets
    check_continuous(packets)
    assert {rid for rid, _ in frames(packets)} == {"low", "mid", "high"}


def test_redundant_audio_leaves_less_for_the_video() -> None:
    scenario = AllocationScenario()
    scenario.allocation.audio_bps = 20_000
    plain, redundant = [scenario.watching(3_000_000) for _ in range(2)]
    redundant.audio_copies = 3
    for viewer in (plain, redundant):
        viewer.narrow(105_000)
    scenario.run(4)
    assert [viewer.received()[-1] for viewer in (plain, redundant)] == ["high", "mid"]


def test_frames_are_left_out_before_a_layer_is_given_up() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    viewer.narrow(200_000)
    scenario.run(3)
    assert scenario.requested == []
    assert set(frames(viewer.packets)[-10:]) == {("high", 0), ("high", 1)}


def test_a_viewer_is_sent_nothing_while_the_keyframe_of_the_smaller_layer_is_late() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    scenario.answers_requests = False
    viewer.narrow(33_000)
    scenario.run(0.75)
    viewer.received()
    scenario.run(1)
    assert viewer.received() == []
    scenario.sent["low"].keyframe_is_due = True
    scenario.run(0.5)
    assert set(viewer.received()) == {"low"}


def test_viewers_that_fall_together_share_a_keyframe() -> None:
    scenario = AllocationScenario()
    viewers = [scenario.watching(3_000_000) for _ in range(10)]
    for viewer in viewers:
        viewer.narrow(33_000)
    scenario.run(1)
    assert scenario.requested == ["low"]


def test_a_viewer_that_starts_low_goes_up_as_its_line_permits() -> None:
    for bitrate_bps, expected in ((None, "high"), (3_000_000, "high"), (60_000, "mid"), (33_000, "low")):
        scenario = AllocationScenario()
        viewer = Viewer(scenario, ssrc=5)
        scenario.viewers.append(viewer)
        scenario.tracks.start_low(viewer.track, scenario.now)
        viewer.track.start(scenario.now)
        scenario.run(0.2)
        viewer.bandwidth.estimate_bps = bitrate_bps
        scenario.run(0.6)
        assert set(viewer.received()) == {"low"}
        scenario.run(4)
        assert viewer.received()[-1] == expected


def test_a_viewer_that_stopped_its_video_before_a_low_start_goes_on_with_the_best_layer() -> None:
    scenario = AllocationScenario()
    viewer = Viewer(scenario, ssrc=5)
    scenario.viewers.append(viewer)
    scenario.tracks.start_low(viewer.track, scenario.now)
    scenario.choose(viewer, LayerMode.PAUSED)
    viewer.track.start(scenario.now)
    scenario.run(2)
    assert viewer.received() == []
    scenario.choose(viewer, LayerMode.AUTO)
    scenario.run(2)
    assert viewer.received()[-1] == "high"


def timer_work(scenario: AllocationScenario) -> int:
    """The operations of a timer for a scenario's viewers."""
    return count_operations(lambda: scenario.allocation.handle_timers(scenario.viewers, scenario.now))


def test_the_timer_of_a_viewer_for_whom_there_is_nothing_to_choose_costs_little() -> None:
    scenario = AllocationScenario(("only",))
    scenario.watching(5_000_000)
    scenario.run(2)
    one = timer_work(scenario)
    for _ in range(10):
        scenario.watching(5_000_000)
    scenario.run(2)
    assert timer_work(scenario) - one < 10 * 200
    scenario.viewers[3].narrow(100_000)
    scenario.run(1)
    assert scenario.viewers[2].video.track is scenario.tracks.best
    assert scenario.viewers[3].video.track is not scenario.tracks.best


def test_viewers_without_an_estimate_share_the_track_of_the_best_layer() -> None:
    scenario = AllocationScenario()
    viewers = [scenario.watching() for _ in range(3)]
    assert list(scenario.tracks) == [scenario.tracks.best]
    assert all(each.track.track is scenario.tracks.best for each in viewers)


def test_a_layer_whose_first_keyframe_was_lost_is_sent_all_the_same() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    scenario.publish(first=5000)
    scenario.sent["high"].keyframe_is_due = False
    scenario.run(5)
    assert viewer.received()[-1] == "high"


def test_few_keyframes_are_requested_of_a_layer_whose_size_no_keyframe_tells() -> None:
    scenario = AllocationScenario()
    scenario.watching(3_000_000)
    scenario.publish(first=5000)
    scenario.sent["high"].keyframe_is_due = scenario.answers_requests = False
    scenario.run(20)
    assert 0 < scenario.requested.count("high") <= MAX_SIZE_REQUESTS


def test_an_estimate_that_falls_just_after_another_publisher_took_over_chooses_none_of_the_former_layers() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    scenario.publish(["other"], first=5000)
    scenario.allocation.publisher_changed()
    viewer.narrow(33_000)
    scenario.choose(viewer, LayerMode.AUTO)


# One layer


def test_a_publisher_of_one_layer_is_limited_and_the_video_pauses_until_it_fits() -> None:
    scenario = AllocationScenario(["only"])
    viewer = scenario.watching(3_000_000)
    viewer.narrow(50_000)
    scenario.run(1)
    viewer.received()
    scenario.run(1)
    assert viewer.received() == []
    assert scenario.limits == [42_500]
    viewer.bandwidth.estimate_bps = 3_000_000
    scenario.run(3)
    assert set(viewer.received()) == {"only"}
    assert scenario.limits[-1] is None


def test_a_publisher_is_not_limited_by_a_viewer_that_is_silent() -> None:
    scenario = AllocationScenario(["only"])
    viewer = scenario.watching(3_000_000)
    viewer.bandwidth.before_silence_bps = 3_000_000
    viewer.narrow(50_000)
    scenario.run(3)
    assert scenario.limits == []


def test_a_publisher_is_not_limited_while_one_viewer_can_take_all() -> None:
    scenario = AllocationScenario(["only"])
    viewers = [scenario.watching(3_000_000) for _ in range(2)]
    viewers[0].narrow(50_000)
    scenario.run(3)
    assert scenario.limits == []


def test_a_publisher_of_one_layer_makes_few_keyframes_for_viewers_that_pause() -> None:
    scenario = AllocationScenario(["only"])
    viewer = scenario.watching(3_000_000)
    for _ in range(12):
        viewer.narrow(30_000)
        scenario.run(1)
        viewer.bandwidth.estimate_bps = 3_000_000
        scenario.run(1)
    assert len(scenario.requested) <= 2


def test_viewers_whose_lines_recover_together_go_on_together() -> None:
    scenario = AllocationScenario(["only"])
    viewers = [scenario.watching(3_000_000) for _ in range(8)]
    for viewer in viewers:
        viewer.narrow(30_000)
    scenario.run(3)
    for viewer in viewers:
        viewer.received()
    scenario.requested.clear()
    for viewer in viewers:
        viewer.bandwidth.estimate_bps = 3_000_000
        scenario.run(0.1)
    scenario.run(3)
    assert [set(viewer.received()) for viewer in viewers] == [{"only"}] * len(viewers)
    assert len(scenario.requested) <= 4


# A viewer's own choice


@pytest.mark.parametrize("bitrate_bps", [None, 3_000_000])
def test_a_viewer_is_sent_the_layer_that_it_chooses(bitrate_bps: int | None) -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(bitrate_bps)
    for mode in (LayerMode.EXACTLY, LayerMode.AT_MOST):
        scenario.choose(viewer, mode, "mid")
        scenario.run(2)
        assert viewer.received()[-20:] == ["mid"] * 20
        scenario.choose(viewer, LayerMode.AUTO)
        scenario.run(3)
        assert viewer.received()[-20:] == ["high"] * 20


def test_at_most_a_layer_is_less_on_a_slow_line_and_exactly_one_is_none() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    scenario.choose(viewer, LayerMode.AT_MOST, "mid")
    viewer.narrow(33_000)
    scenario.run(2)
    assert viewer.received()[-5:] == ["low"] * 5
    scenario.choose(viewer, LayerMode.EXACTLY, "mid")
    scenario.run(1)
    viewer.received()
    scenario.run(1)
    assert viewer.received() == []


@pytest.mark.parametrize("bitrate_bps", [None, 3_000_000])
@pytest.mark.parametrize("mode", [LayerMode.AUDIO_ONLY, LayerMode.PAUSED])
def test_a_viewer_stops_its_video_and_goes_on(mode: LayerMode, bitrate_bps: int | None) -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(bitrate_bps)
    scenario.send_frame()
    before = viewer.packets
    viewer.datagrams.clear()
    scenario.choose(viewer, mode)
    scenario.run(3)
    assert viewer.received() == []
    assert scenario.requested == []
    scenario.choose(viewer, LayerMode.AUTO)
    scenario.run(3)
    check_continuous([before[-1], *viewer.packets])
    assert viewer.track.track is scenario.tracks.best


def test_a_layer_that_the_publisher_does_not_have_is_refused() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    with pytest.raises(MediaRefusedError) as refused:
        scenario.choose(viewer, LayerMode.AT_MOST, "huge")
    assert refused.value.reason is RefusalReason.UNKNOWN_LAYER
    scenario.run(1)
    assert set(viewer.received()) == {"high"}


def test_a_viewer_that_has_left_is_forgotten() -> None:
    scenario = AllocationScenario()
    scenario.watching(3_000_000)
    scenario.viewers.clear()
    scenario.tick()
    assert not scenario.allocation._watched


def test_the_reason_for_what_a_viewer_is_sent_is_told() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching()

    def reason() -> LayerReason:
        return scenario.allocation.reason(viewer, viewer.video)

    assert reason() is LayerReason.NO_ESTIMATE
    viewer.bandwidth.estimate_bps = 3_000_000
    scenario.run(3)
    assert reason() is LayerReason.BEST
    viewer.narrow(90_000)
    scenario.run(3)
    assert reason() is LayerReason.BANDWIDTH
    viewer.bandwidth.estimate_bps = 3_000_000
    scenario.choose(viewer, LayerMode.AT_MOST, "mid")
    scenario.run(5)
    assert reason() is LayerReason.CHOSEN
    scenario.choose(viewer, LayerMode.PAUSED)
    assert reason() is LayerReason.CHOSEN


def test_a_layer_that_fills_the_line_is_cut_at_once() -> None:
    scenario = AllocationScenario()
    viewer = scenario.watching(3_000_000)
    scenario.run(1)
    scenario.answers_requests = False
    sent = viewer.packets[-1].sequence
    viewer.datagrams.clear()
    viewer.narrow(33_000)
    assert viewer.video.is_paused
    scenario.sent["low"].keyframe_is_due = True
    scenario.run(0.5)
    first = next(each.sequence for each in viewer.packets if rid_of(each.payload) == "low")
    assert viewer.video.is_before_move(sent, scenario.now)
    assert not viewer.video.is_before_move(first, scenario.now)
    scenario.run(6)
    assert not viewer.video.is_before_move(sent, scenario.now)

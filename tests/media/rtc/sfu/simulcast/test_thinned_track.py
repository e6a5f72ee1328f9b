"""A layer without its upper temporal layers: what it leaves out, its numbers, and where viewers enter and leave."""

from stagebook.media.codecs.vp8_descriptor import Vp8Descriptor, parse_descriptor
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from tests.media.rtc.sfu.simulcast.layer_scenario import LayerScenario, Watching


def scenario_with_viewer() -> tuple[LayerScenario, Watching, PublishedTrack]:
    """A publisher of three layers, and a viewer that has been sent the best one for a while."""
    scenario = LayerScenario()
    scenario.run(1)
    viewer = scenario.watch()
    scenario.run(1)
    scenario.requested.clear()
    viewer.datagrams.clear()
    return scenario, viewer, scenario.tracks.best


def descriptor(packet: RtpPacket) -> Vp8Descriptor:
    found = parse_descriptor(packet.payload)
    assert found is not None
    return found


def frames(packets: list[RtpPacket]) -> list[int]:
    """The temporal layers of the frames."""
    return [descriptor(packet).temporal_id for packet in packets if descriptor(packet).starts_frame]


def test_a_viewer_enters_at_the_next_frame_and_no_keyframe_is_requested() -> None:
    scenario, viewer, best = scenario_with_viewer()
    viewer.track.move_to(best.version(0), scenario.now)
    for _ in range(12):
        scenario.send_frame()
    assert scenario.requested == []
    layers = frames(viewer.packets)
    # Up to three frames of the whole track until the thinned one has its first frame.
    assert layers[-3:] == [0, 0, 0]
    assert len(layers) <= 6


def test_the_version_with_two_of_three_layers_has_half_of_the_frames() -> None:
    scenario, viewer, best = scenario_with_viewer()
    viewer.track.move_to(best.version(1), scenario.now)
    scenario.run(1)
    viewer.datagrams.clear()
    scenario.run(2)
    packets = viewer.packets
    assert set(frames(packets)) == {0, 1}
    assert len(frames(packets)) == 30
    assert [each.sequence for each in packets] == list(range(packets[0].sequence, packets[0].sequence + len(packets)))


def test_a_viewer_returns_at_a_frame_that_needs_none_of_those_it_was_not_sent() -> None:
    scenario, viewer, best = scenario_with_viewer()
    for lower, upper, first in ((0, 1, (1, True)), (1, None, (2, True))):
        viewer.track.move_to(best.version(lower), scenario.now)
        scenario.run(1)
        viewer.datagrams.clear()
        viewer.track.move_to(best.version(upper), scenario.now)
        scenario.run(1)
        above = [each for each in map(descriptor, viewer.packets) if each.temporal_id > lower]
        assert (above[0].temporal_id, above[0].is_sync) == first
    assert scenario.requested == []


def test_the_whole_track_does_not_notice() -> None:
    scenario, viewer, best = scenario_with_viewer()
    other = scenario.watch(ssrc=6)
    scenario.run(1)
    other.datagrams.clear()
    viewer.track.move_to(best.version(0), scenario.now)
    scenario.run(1)
    assert len(frames(other.packets)) == 30


def test_a_packet_that_is_to_be_left_out_and_comes_late_leaves_no_gap() -> None:
    scenario, viewer, best = scenario_with_viewer()
    viewer.track.move_to(best.version(0), scenario.now)
    scenario.run(1)
    viewer.datagrams.clear()
    while scenario.sent["high"].temporal_id != 2:
        scenario.send_frame()
    late = scenario.packet("high", number=1)
    for _ in range(8):
        scenario.send_frame()
    scenario.receive(late)
    packets = sorted(viewer.packets, key=lambda each: each.sequence)
    assert [each.sequence for each in packets] == list(range(packets[0].sequence, packets[0].sequence + len(packets)))
    assert [each.payload for each in packets].count(b"") == 1


def test_a_packet_that_comes_behind_one_that_is_left_out_has_a_number_of_its_own() -> None:
    scenario, viewer, best = scenario_with_viewer()
    viewer.track.move_to(best.version(0), scenario.now)
    scenario.run(1)
    viewer.datagrams.clear()
    layer = scenario.sent["high"]
    while layer._position != 3:
        scenario.send_frame()
    scenario.advance()
    layer.next_frame(is_key=False)
    scenario.receive(scenario.packet("high", number=0))
    late = scenario.packet("high", number=1, marker=1)
    scenario.send_frame("high")
    scenario.receive(late)
    viewer.track.move_to(best, scenario.now)
    scenario.run(1)
    numbers = [each.sequence for each in viewer.packets]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_viewers_of_a_version_follow_the_layer_that_the_whole_track_changes_to() -> None:
    scenario, viewer, best = scenario_with_viewer()
    viewer.track.move_to(best.version(1), scenario.now)
    scenario.run(1)
    viewer.received()
    scenario.run(3, "low", "mid")
    assert viewer.received()[-10:] == ["mid"] * 10
    assert viewer.track.track is best.version(1)


def test_sender_reports_have_the_clock_of_the_whole_track() -> None:
    scenario, viewer, best = scenario_with_viewer()
    viewer.track.move_to(best.version(1), scenario.now)
    scenario.run(1)
    assert best.version(1).newest == best.newest
    assert best.version(1).shift(viewer.down_track) == best.shift(viewer.down_track)

"""Layers that viewers choose: when a choice takes effect, what replaces a layer that stops, and what is listed."""

import weakref
from itertools import pairwise

import pytest

from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.rtp.rtp_packet import parse_rtp, timestamp_distance
from stagebook.media.rtc.sfu.simulcast.keyframe_requests import MAX_KEYFRAMES_AT_ONCE
from stagebook.media.rtc.sfu.simulcast.layer_tracks import LOW_START_SECONDS, MAX_CHOSEN_LAYERS
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import SILENCE_SECONDS
from stagebook.media.rtc.sfu.viewer_track import RUN_HISTORY_SECONDS
from tests.media.rtc.sfu.simulcast.layer_scenario import SIZES, LayerScenario, Watching


def scenario_with_viewer() -> tuple[LayerScenario, Watching]:
    """A publisher of three layers, and a viewer that has been sent the best one for a while."""
    scenario = LayerScenario()
    scenario.run(1)
    viewer = scenario.watch()
    scenario.run(1)
    assert set(viewer.received()) == {"high"}
    scenario.requested.clear()
    return scenario, viewer


def test_a_viewer_without_a_choice_shares_the_track_of_the_best_layer() -> None:
    scenario, _ = scenario_with_viewer()
    assert list(scenario.tracks) == [scenario.tracks.best]
    assert len(scenario.incoming.selections) == 1


def test_a_choice_takes_effect_at_the_next_keyframe_and_the_old_layer_goes_on_until_then() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    assert scenario.requested == ["low"]
    scenario.sent["low"].keyframe_is_due = False
    scenario.send_frame()
    assert viewer.received() == ["high", "high"]
    scenario.sent["low"].keyframe_is_due = True
    scenario.send_frame("low", "high")
    assert viewer.received() == ["low", "low"]
    scenario.run(1)
    assert set(viewer.received()) == {"low"}


def test_other_viewers_do_not_notice_a_choice() -> None:
    scenario, viewer = scenario_with_viewer()
    other = scenario.watch(ssrc=6)
    scenario.run(1)
    other.received()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.run(1)
    assert other.received() == ["high"] * 60


def test_the_numbers_of_a_viewer_continue_across_its_choices() -> None:
    scenario = LayerScenario()
    scenario.run(1)
    viewer = scenario.watch()
    for choice in ("low", "mid", None, "high", "low", None):
        scenario.tracks.choose(viewer.track, choice, scenario.now)
        scenario.run(0.5)
    packets = viewer.packets
    assert [each.sequence for each in packets] == list(range(7, 7 + len(packets)))
    timestamps = [each.timestamp for each in packets]
    steps = [timestamp_distance(after, before) for before, after in pairwise(timestamps)]
    assert min(steps) == 0
    # A frame has 3000 units; a shifted one may come up to 10 ms later.
    assert max(steps) <= 3000 + 900


def test_viewers_that_move_together_are_served_by_one_loop() -> None:
    scenario = LayerScenario()
    scenario.run(1)
    viewers = [scenario.watch(ssrc=ssrc) for ssrc in range(20)]
    scenario.run(1)
    for choice in ("low", None):
        for viewer in viewers:
            scenario.tracks.choose(viewer.track, choice, scenario.now)
        scenario.run(1)
    assert len(scenario.tracks.best._queue.groups) == 1


def test_a_nack_for_a_packet_from_before_a_choice_is_answered() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.send_frame("high")
    lost = viewer.packets[-1]
    viewer.datagrams.clear()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.run(1)
    packets = viewer.packets
    assert packets[0].payload.endswith(b"low")
    (again,) = viewer.track.repeat([lost.sequence], 0)
    assert parse_rtp(again) == lost
    assert viewer.track.sent_size(packets[-1].sequence + 1) is None


def test_a_track_that_is_dropped_does_not_stay_in_memory() -> None:
    scenario, viewer = scenario_with_viewer()
    for choice in ("low", None):
        scenario.tracks.choose(viewer.track, choice, scenario.now)
        scenario.run(1)
    dropped = weakref.ref(viewer.track._ended_runs[-1].track)
    scenario.run(RUN_HISTORY_SECONDS)
    scenario.tracks.drop_unused([viewer.track], scenario.now)
    assert dropped() is None


def test_a_nack_is_answered_with_the_timestamp_that_the_viewer_was_sent() -> None:
    scenario, viewer = scenario_with_viewer()
    # The keyframe has the time of a frame that the viewer has: its timestamp has to be shifted.
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.send_frame("high", "low")
    last = viewer.packets[-1]
    assert last.payload.endswith(b"low")
    (again,) = viewer.track.repeat([last.sequence], 0)
    assert parse_rtp(again) == last


def test_a_packet_from_before_the_keyframe_does_not_take_a_number_of_the_old_layer() -> None:
    scenario, viewer = scenario_with_viewer()
    other = scenario.watch(ssrc=6)
    scenario.tracks.choose(other.track, "low", scenario.now)
    scenario.run(1)
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    late = scenario.packet("low")
    scenario.sent["low"].keyframe_is_due = True
    scenario.send_frame("low")
    before = len(viewer.datagrams)
    scenario.receive(late)
    scenario.send_frame("low")
    packets = viewer.packets
    assert len(packets) == before + 2
    assert len({packet.sequence for packet in packets}) == len(packets)


def test_a_late_packet_from_after_the_keyframe_is_sent() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.send_frame("low")
    late = scenario.packet("low")
    scenario.send_frame("low")
    viewer.received()
    scenario.receive(late)
    assert viewer.received() == ["low"]


def test_viewers_of_a_layer_that_stops_get_the_next_lower_one_and_then_their_layer_again() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "mid", scenario.now)
    scenario.run(1)
    viewer.received()
    scenario.run(SILENCE_SECONDS + 1, "low", "high")
    assert viewer.received()[-10:] == ["low"] * 10
    scenario.sent["mid"].keyframe_is_due = True
    scenario.run(1)
    assert viewer.received()[-10:] == ["mid"] * 10


def test_viewers_of_the_lowest_layer_get_the_smallest_of_the_others_when_it_stops() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.run(1)
    viewer.received()
    scenario.run(SILENCE_SECONDS + 1, "mid", "high")
    assert viewer.received()[-10:] == ["mid"] * 10


def test_a_choice_survives_a_new_connection_of_the_publisher() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.run(1)
    before = viewer.packets[-1]
    viewer.datagrams.clear()
    scenario.publish(first=30_000)
    scenario.run(1)
    packets = viewer.packets
    assert {packet.payload[-3:] for packet in packets} == {b"low"}
    assert packets[0].sequence == before.sequence + 1
    assert 0 < timestamp_distance(packets[0].timestamp, before.timestamp) < 90_000


def test_a_publisher_without_simulcast_is_shown_to_viewers_with_a_choice() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.run(1)
    viewer.received()
    scenario.publish(["other"])
    scenario.run(1)
    assert set(viewer.received()) == {"other"}


def test_an_unknown_layer_is_refused_and_changes_nothing() -> None:
    scenario, viewer = scenario_with_viewer()
    with pytest.raises(MediaRefusedError) as refused:
        scenario.tracks.choose(viewer.track, "huge", scenario.now)
    assert refused.value.reason is RefusalReason.UNKNOWN_LAYER
    scenario.run(0.5)
    assert set(viewer.received()) == {"high"}


def test_the_number_of_different_layers_is_limited() -> None:
    scenario = LayerScenario()
    viewers = [scenario.watch(ssrc=ssrc) for ssrc in range(MAX_CHOSEN_LAYERS + 1)]
    for position, viewer in enumerate(viewers[:-1]):
        scenario.publish([f"{position}-low"])
        scenario.tracks.choose(viewer.track, f"{position}-low", scenario.now)
    scenario.publish()
    with pytest.raises(MediaRefusedError) as refused:
        scenario.tracks.choose(viewers[-1].track, "low", scenario.now)
    assert refused.value.reason is RefusalReason.BUSY


def test_a_layer_without_viewers_costs_nothing() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.run(1)
    scenario.tracks.choose(viewer.track, None, scenario.now)
    scenario.run(1)
    scenario.tracks.drop_unused([viewer.track], scenario.now)
    assert list(scenario.tracks) == [scenario.tracks.best]
    assert len(scenario.incoming.selections) == 1


def test_a_chosen_layer_stays_while_a_viewer_waits_for_it() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    scenario.tracks.drop_unused([viewer.track], scenario.now)
    scenario.run(1)
    assert viewer.received()[-10:] == ["low"] * 10


def test_a_viewer_that_leaves_while_it_waits_is_forgotten() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.tracks.choose(viewer.track, "low", scenario.now)
    viewer.track.close()
    viewer.received()
    scenario.run(1)
    assert viewer.received() == []


def test_many_choices_request_no_more_keyframes_than_the_budget() -> None:
    scenario, viewer = scenario_with_viewer()
    for number in range(3000):
        scenario.tracks.choose(viewer.track, ("low", "mid", "high")[number % 3], scenario.now)
        scenario.send_frame()
    assert len(scenario.requested) <= MAX_KEYFRAMES_AT_ONCE + 101


def test_a_layer_that_sends_no_keyframe_does_not_keep_the_others_from_getting_one() -> None:
    scenario, first = scenario_with_viewer()
    second = scenario.watch(ssrc=6)
    scenario.run(1)

    def run_without_keyframes_of_low(seconds: float) -> None:
        for number in range(round(seconds * 30)):
            scenario.sent["low"].keyframe_is_due = False
            scenario.send_frame()
            if number % 7 == 0:
                scenario.tick()

    scenario.tracks.choose(first.track, "low", scenario.now)
    run_without_keyframes_of_low(20)
    # The budget is used up: the next request has to wait, as long as the one for the low layer, which is repeated.
    scenario.incoming.request_keyframe(scenario.incoming.layers[1001], scenario.now)
    scenario.requested.clear()
    scenario.tracks.choose(second.track, "mid", scenario.now)
    assert scenario.requested == []
    run_without_keyframes_of_low(4)
    assert "mid" in scenario.requested
    assert "low" in scenario.requested
    assert second.received()[-10:] == ["mid"] * 10


def test_the_layers_are_listed_with_what_is_measured() -> None:
    scenario, viewer = scenario_with_viewer()
    # It has been sending for two seconds.
    rates = [layer.take_rate(2.0) for layer in scenario.incoming.layers.values()]
    listed = scenario.tracks.layers(viewer.track)
    assert [(each.encoding_id, (each.width, each.height)) for each in listed] == [
        (rid, SIZES[rid]) for rid in ("low", "mid", "high")
    ]
    assert [each.is_selected for each in listed] == [False, False, True]
    assert {each.frames_per_second for each in listed} == {30}
    assert [each.bitrate_bps for each in listed] == rates
    assert min(rates) > 0


def selected(scenario: LayerScenario, viewer: Watching) -> list[str]:
    """The encoding ids of the layers that are listed as selected."""
    return [each.encoding_id for each in scenario.tracks.layers(viewer.track) if each.is_selected]


def test_the_chosen_layer_is_the_selected_one_or_what_is_sent_instead() -> None:
    scenario, viewer = scenario_with_viewer()
    assert selected(scenario, viewer) == ["high"]
    scenario.tracks.choose(viewer.track, "mid", scenario.now)
    assert selected(scenario, viewer) == ["mid"]
    scenario.run(0.5)
    assert selected(scenario, viewer) == ["mid"]
    scenario.run(SILENCE_SECONDS + 1, "low", "high")
    assert selected(scenario, viewer) == ["low"]


def test_a_layer_that_has_stopped_is_not_listed() -> None:
    scenario, viewer = scenario_with_viewer()
    scenario.run(SILENCE_SECONDS + 0.1, "low", "mid")
    assert [each.encoding_id for each in scenario.tracks.layers(viewer.track)] == ["low", "mid"]


def test_a_viewer_that_starts_low_goes_on_with_the_best_layer() -> None:
    scenario = LayerScenario()
    scenario.run(1)
    viewer = Watching(scenario.tracks)
    scenario.tracks.start_low(viewer.track, scenario.now)
    viewer.track.start(scenario.now)
    scenario.run(LOW_START_SECONDS)
    assert set(viewer.received()) == {"low"}
    scenario.run(1)
    received = viewer.received()
    assert received[-10:] == ["high"] * 10
    assert set(received) == {"low", "high"}


def test_the_choice_of_no_layer_does_not_end_a_low_start() -> None:
    scenario = LayerScenario()
    scenario.run(1)
    viewer = Watching(scenario.tracks)
    scenario.tracks.start_low(viewer.track, scenario.now)
    viewer.track.start(scenario.now)
    scenario.tracks.choose(viewer.track, None, scenario.now)
    scenario.run(LOW_START_SECONDS)
    assert set(viewer.received()) == {"low"}
    scenario.run(1)
    assert viewer.received()[-10:] == ["high"] * 10


def test_a_choice_ends_a_low_start() -> None:
    scenario = LayerScenario()
    scenario.run(1)
    viewer = Watching(scenario.tracks)
    scenario.tracks.start_low(viewer.track, scenario.now)
    viewer.track.start(scenario.now)
    scenario.tracks.choose(viewer.track, "mid", scenario.now)
    scenario.run(LOW_START_SECONDS + 1)
    assert set(viewer.received()) == {"mid"}


def test_without_simulcast_a_low_start_is_an_ordinary_one() -> None:
    scenario = LayerScenario(["high"])
    scenario.run(1)
    viewer = Watching(scenario.tracks)
    scenario.tracks.start_low(viewer.track, scenario.now)
    assert viewer.track.track is scenario.tracks.best

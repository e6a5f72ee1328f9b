"""An encoder's track: viewers that join at any time, request keyframes, or are switched to another feed."""

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.sfu.encoder.encoder_track import (
    MIN_REPLAY_INTERVAL_SECONDS,
    REPLAY_HISTORY_SECONDS,
)
from stagebook.media.rtc.sfu.encoder.gop_cache import MAX_GOP_FRAMES
from stagebook.media.rtc.sfu.encoder.replay_pacer import PACKETS_PER_TURN
from tests.media.rtc.sfu.encoder.encoder_track_scenario import FIRST_SEQUENCE, Scenario, frames_of, is_decodable


def test_a_viewer_that_joined_first_starts_with_the_live_keyframe() -> None:
    scenario = Scenario()
    viewer = scenario.join()
    scenario.send_frame()
    scenario.send_frame(key=True)
    assert scenario.started == [viewer.down_track]
    scenario.send_frame()
    packets = viewer.packets
    assert frames_of(packets) == [(2, True), (3, False)]
    assert packets[0].sequence == FIRST_SEQUENCE


def test_a_viewer_that_joins_later_is_sent_the_gop_and_then_live_frames() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True)
    scenario.send_frame()
    viewer = scenario.join()
    assert viewer.datagrams == []
    assert not scenario.track.has_started(viewer.down_track)
    scenario.loop.run_all()
    assert scenario.track.has_started(viewer.down_track)
    assert set(scenario.started) == {viewer.down_track}
    scenario.send_frame()
    packets = viewer.packets
    assert frames_of(packets) == [(1, True), (2, False), (3, False)]
    assert packets[-1].timestamp == scenario.timestamp & 0xFFFFFFFF


def test_a_live_keyframe_during_a_replay_follows_the_current_frame() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True, packets=PACKETS_PER_TURN + 5)
    scenario.send_frame(packets=50)
    viewer = scenario.join()
    scenario.loop.run()
    scenario.send_frame(key=True)
    scenario.send_frame()
    scenario.loop.run_all()
    assert frames_of(viewer.packets) == [(1, True), (3, True), (4, False)]


def test_audio_starts_with_the_next_packet_without_a_replay() -> None:
    scenario = Scenario(MediaKind.AUDIO)
    scenario.track.send([b"before"], timestamp=960, can_start=True, gop=None, now=0.0)
    viewer = scenario.join()
    scenario.loop.run_all()
    scenario.track.send([b"after"], timestamp=1920, can_start=True, gop=None, now=0.02)
    scenario.request_keyframe(viewer)
    scenario.loop.run_all()
    assert [packet.payload for packet in viewer.packets] == [b"after"]


def test_a_keyframe_request_replays_the_gop_with_new_sequence_numbers() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True)
    viewer = scenario.join()
    scenario.loop.run_all()
    scenario.send_frame()
    scenario.request_keyframe(viewer)
    scenario.loop.run_all()
    scenario.send_frame()
    scenario.loop.run_all()
    scenario.send_frame()
    assert frames_of(viewer.packets) == [(1, True), (2, False), (1, True), (2, False), (3, False), (4, False)]


def test_timestamps_increase_even_when_a_keyframe_follows_a_long_replay_early() -> None:
    scenario = Scenario()
    viewer = scenario.join()
    scenario.send_frame(key=True)
    for _ in range(40):
        scenario.send_frame()
    scenario.request_keyframe(viewer)
    scenario.loop.run_all()
    for _ in range(3):
        scenario.send_frame(key=True, ahead=5)
        scenario.loop.run_all()
    scenario.send_frame()
    scenario.loop.run_all()
    frames = frames_of(viewer.packets)
    assert is_decodable(frames)
    assert frames[-1] == (scenario.number, False)


def test_live_frames_during_a_replay_do_not_increase_its_rate() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True, packets=PACKETS_PER_TURN * 10)
    viewer = scenario.join()
    for turn in range(5):
        scenario.send_frame()
        scenario.loop.run()
        assert len(viewer.datagrams) == PACKETS_PER_TURN * (turn + 1)


def test_replays_to_one_viewer_are_limited_to_one_per_second() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True)
    viewer = scenario.join()
    scenario.loop.run_all()
    for _ in range(10):
        scenario.request_keyframe(viewer, later_seconds=MIN_REPLAY_INTERVAL_SECONDS / 5)
        scenario.loop.run_all()
        scenario.send_frame()
        scenario.loop.run_all()
    assert [number for number, key in frames_of(viewer.packets) if key] == [1] * 3


def test_a_removed_viewer_is_sent_nothing() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True, packets=PACKETS_PER_TURN * 2)
    viewer, waiting, live = scenario.join(), scenario.join(), scenario.join()
    scenario.loop.run()
    scenario.track.remove(live.down_track)
    scenario.track.remove(viewer.down_track)
    scenario.loop.run_all()
    scenario.track.remove(waiting.down_track)
    scenario.send_frame()
    assert len(viewer.datagrams) == PACKETS_PER_TURN
    assert len(waiting.datagrams) == PACKETS_PER_TURN * 2
    assert not scenario.track.has_started(waiting.down_track)
    assert scenario.track.find_sent(waiting.down_track, FIRST_SEQUENCE) is None


def test_packets_and_octets_are_counted_for_each_viewer() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True, packets=PACKETS_PER_TURN * 2)
    viewer = scenario.join()
    for _ in range(5):
        scenario.loop.run()
        scenario.send_frame()
        packets = viewer.datagrams
        if scenario.track.has_started(viewer.down_track):
            assert viewer.down_track.packets == len(packets)
    scenario.request_keyframe(viewer)
    scenario.loop.run_all()
    scenario.send_frame()
    sent = viewer.packets
    assert viewer.down_track.packets == len(sent)
    assert scenario.track.sent_octets(viewer.down_track) == sum(len(packet.payload) for packet in sent)


def test_the_packets_of_a_replay_expire() -> None:
    scenario = Scenario()
    scenario.send_frame(key=True)
    scenario.send_frame()
    viewer = scenario.join()
    scenario.loop.run_all()
    scenario.track.expire_replays(scenario.loop.now + REPLAY_HISTORY_SECONDS - 0.1)
    assert scenario.track.find_sent(viewer.down_track, FIRST_SEQUENCE) is not None
    scenario.track.expire_replays(scenario.loop.now + REPLAY_HISTORY_SECONDS + 0.1)
    assert scenario.track.find_sent(viewer.down_track, FIRST_SEQUENCE) is None
    scenario.send_frame()
    assert scenario.track.find_sent(viewer.down_track, FIRST_SEQUENCE + 2) is not None


def test_without_a_cached_gop_a_new_viewer_waits_for_the_next_keyframe() -> None:
    scenario = Scenario()
    live = scenario.join()
    scenario.send_frame(key=True)
    for _ in range(MAX_GOP_FRAMES):
        scenario.send_frame()
    late = scenario.join()
    scenario.request_keyframe(live)
    scenario.loop.run_all()
    assert late.datagrams == []
    scenario.send_frame(key=True)
    assert frames_of(late.packets) == [(scenario.number, True)]
    assert is_decodable(frames_of(live.packets))
    assert len(live.datagrams) == scenario.number


@pytest.mark.parametrize("frames", [0, 1, 40])
def test_another_feed_continues_the_stream_from_its_keyframe(frames: int) -> None:
    scenario = Scenario()
    viewer = scenario.join()
    scenario.send_frame(key=True)
    scenario.send_frame()
    scenario.switch_feed(frames=frames, ahead=1)
    scenario.loop.run()
    scenario.send_frame(key=frames == 0)
    scenario.loop.run_all()
    scenario.send_frame()
    seen = frames_of(viewer.packets)
    assert is_decodable(seen)
    assert len(seen) == 2 + frames + 2


@pytest.mark.parametrize("turns", [0, 1, 9])
def test_a_stream_that_is_held_goes_on_with_the_numbers_that_follow(turns: int) -> None:
    scenario = Scenario()
    scenario.send_frame(key=True, packets=PACKETS_PER_TURN + 5)
    viewer = scenario.join()
    for _ in range(turns):
        scenario.loop.run()
    scenario.send_frame()
    scenario.track.hold(viewer.down_track)
    sent = len(viewer.datagrams)
    for key in (False, True, False):
        scenario.send_frame(key=key)
    scenario.loop.run_all()
    assert len(viewer.datagrams) == sent
    scenario.track.add(viewer.down_track, scenario.loop.now)
    scenario.loop.run_all()
    scenario.send_frame()
    sequences = [packet.sequence for packet in viewer.packets]
    assert sequences == list(range(FIRST_SEQUENCE, FIRST_SEQUENCE + len(sequences)))
    assert len(sequences) > sent

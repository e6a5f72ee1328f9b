"""Random sequences of events on an encoder's track: every viewer gets one decodable, continuous stream."""

from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.sfu.encoder.replay_pacer import PACKETS_PER_TURN
from tests.media.rtc.sfu.encoder.encoder_track_scenario import (
    FIRST_SEQUENCE,
    Scenario,
    frames_of,
    is_decodable,
)

Event: TypeAlias = tuple[str, int]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(1, 2 * PACKETS_PER_TURN)),
        st.tuples(st.just("key"), st.integers(1, 3 * PACKETS_PER_TURN)),
        st.tuples(st.just("early"), st.integers(0, 1)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("join"), st.just(0)),
        st.tuples(st.just("keyframe request"), st.integers(0, 9)),
        st.tuples(st.just("switch"), st.integers(0, 30)),
    ),
    max_size=40,
)


def apply(scenario: Scenario, event: Event) -> None:
    """Apply one event."""
    kind, count = event
    if kind in ("frame", "key"):
        scenario.send_frame(key=kind == "key", packets=count)
    elif kind == "early":
        scenario.send_frame(key=bool(count), ahead=1)
    elif kind == "turn":
        for _ in range(count):
            scenario.loop.run()
    elif kind == "join":
        scenario.join()
    elif kind == "switch":
        scenario.switch_feed(frames=count, ahead=1 + count)
    elif scenario.viewers:
        scenario.request_keyframe(scenario.viewers[count % len(scenario.viewers)])


@settings(max_examples=200)
@given(EVENTS)
def test_after_any_events_a_viewer_has_one_decodable_stream_up_to_the_newest_frame(events: list[Event]) -> None:
    scenario = Scenario()
    scenario.join()
    for event in events:
        apply(scenario, event)
    scenario.send_frame(key=True)
    for _ in range(3):
        scenario.loop.run_all()
        scenario.send_frame()
    for viewer in scenario.viewers:
        packets = viewer.packets
        assert is_decodable(frames_of(packets))
        assert packets[0].sequence == FIRST_SEQUENCE
        assert packets[-1].payload == f"{scenario.number}::0".encode()
        assert packets[-1].timestamp == scenario.timestamp & 0xFFFFFFFF
        assert viewer.down_track.packets == len(packets)
        assert scenario.track.sent_octets(viewer.down_track) == sum(len(packet.payload) for packet in packets)
        for packet in packets:
            resent = scenario.track.find_sent(viewer.down_track, packet.sequence)
            assert resent is None or resent[1:] == (packet.marker, packet.timestamp, packet.payload)
        assert scenario.track.find_sent(viewer.down_track, packets[-1].sequence) is not None


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(0, 20))
def test_every_packet_of_a_replay_can_be_retransmitted(sizes: list[int], turns: int) -> None:
    scenario = Scenario()
    for number, size in enumerate(sizes):
        scenario.send_frame(key=number == 0, packets=size)
    viewer = scenario.join()
    for _ in range(turns):
        scenario.loop.run()
    for packet in viewer.packets:
        resent = scenario.track.find_sent(viewer.down_track, packet.sequence)
        assert resent is not None
        assert resent[1:] == (packet.marker, packet.timestamp, packet.payload)

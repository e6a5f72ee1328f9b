"""An encoder's track: viewers that join at any time, request keyframes, or are switched to another feed."""

from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_track import (
    MIN_REPLAY_INTERVAL_SECONDS,
    REPLAY_HISTORY_SECONDS,
    EncoderTrack,
)
from stagebook.media.rtc.sfu.encoder.gop_cache import MAX_GOP_FRAMES, GopCache
from stagebook.media.rtc.sfu.encoder.replay_pacer import PACKETS_PER_TURN, ReplayPacer
from tests.media.rtc.sfu.encoder.fake_event_loop import FakeEventLoop
from tests.media.rtc.sfu.fake_viewer import FakeViewer

FRAME_TICKS = 3_000
FIRST_SEQUENCE = 7


class Scenario:
    """A track with its pacer on a fake event loop, frames sent by the test, and viewers."""

    def __init__(self, kind: MediaKind = MediaKind.VIDEO) -> None:
        self.loop = FakeEventLoop()
        self.started: list[DownTrack] = []
        self.track = EncoderTrack(
            kind=kind,
            codec=Codec.H264 if kind is MediaKind.VIDEO else Codec.OPUS,
            clock_rate=90_000,
            random_bits=lambda _: FIRST_SEQUENCE,
            pacer=ReplayPacer(call_later=self.loop.call_later, clock=lambda: self.loop.now),
            on_started=lambda _track, down_track, _now: self.started.append(down_track),
        )
        self.cache = GopCache()
        self.viewers: list[FakeViewer] = []
        self.timestamp = 2**32 - 20 * FRAME_TICKS
        """Wraps during the tests."""
        self.number = 0

    def send_frame(self, *, key: bool = False, packets: int = 1, ahead: int = FRAME_TICKS) -> None:
        """Send the next frame. A payload is `<frame number>:<"key" for a keyframe>:<packet index in the frame>`."""
        self.loop.now += 1 / 30
        self.timestamp += ahead
        self.number += 1
        payloads = [f"{self.number}:{'key' if key else ''}:{index}".encode() for index in range(packets)]
        self.cache.add(payloads, is_keyframe=key)
        self.track.send(payloads, timestamp=self.timestamp, can_start=key, gop=self.cache.current, now=self.loop.now)

    def join(self) -> FakeViewer:
        """Add a viewer."""
        viewer = FakeViewer(ssrc=len(self.viewers))
        self.viewers.append(viewer)
        self.track.add(viewer.down_track, self.loop.now)
        return viewer

    def request_keyframe(self, viewer: FakeViewer, *, later_seconds: float = MIN_REPLAY_INTERVAL_SECONDS) -> None:
        """Let a viewer send a PLI."""
        self.loop.now += later_seconds
        self.track.handle_keyframe_request(viewer.down_track, self.loop.now)

    def switch_feed(self, *, frames: int, ahead: int) -> None:
        """Switch to another feed that has sent `frames` frames since its keyframe; 0 means no keyframe yet."""
        self.cache = GopCache()
        self.number += 1  # a viewer that continued in the previous GOP would see a gap here
        for number in range(frames):
            self.number += 1
            self.cache.add([f"{self.number}:{'' if number else 'key'}:0".encode()], is_keyframe=number == 0)
        self.timestamp += ahead
        self.track.switch_feed(self.cache.current, newest_timestamp=self.timestamp, now=self.loop.now)


def frames_of(packets: list[RtpPacket]) -> list[tuple[int, bool]]:
    """(number, is keyframe) of each frame. Checks that each is complete, has a marker, and has its own timestamp."""
    frames: list[tuple[int, bool]] = []
    expected_index = 0
    previous: RtpPacket | None = None
    for packet in packets:
        number, key, packet_index = packet.payload.decode().split(":")
        assert int(packet_index) == expected_index
        if expected_index == 0:
            frames.append((int(number), key == "key"))
        assert int(number) == frames[-1][0]
        if previous is not None:
            assert packet.sequence == (previous.sequence + 1) & 0xFFFF
            step = (packet.timestamp - previous.timestamp) & 0xFFFFFFFF
            assert step == 0 if expected_index else 0 < step < 2**31
        expected_index = 0 if packet.marker else expected_index + 1
        previous = packet
    return frames


def is_decodable(frames: list[tuple[int, bool]]) -> bool:
    """Whether the first frame is a keyframe and every other frame is a keyframe or follows its predecessor."""
    previous_frames = [(0, False), *frames]
    return all(
        key or number == previous + 1 for (previous, _), (number, key) in zip(previous_frames, frames, strict=False)
    ) and (not frames or frames[0][1])


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

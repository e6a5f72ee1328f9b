"""Whole pictures to viewers that come at any moment, lose their picture, and are shown another feed's."""

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

FRAME = 3_000
FIRST = 7


class Bench:
    """A fed track with its pacer, a feed by hand, and viewers."""

    def __init__(self, kind: MediaKind = MediaKind.VIDEO) -> None:
        self.loop = FakeEventLoop()
        self.begun: list[DownTrack] = []
        self.track = EncoderTrack(
            kind=kind,
            codec=Codec.H264 if kind is MediaKind.VIDEO else Codec.OPUS,
            clock_rate=90_000,
            random_bits=lambda _: FIRST,
            pacer=ReplayPacer(call_later=self.loop.call_later, clock=lambda: self.loop.now),
            on_started=lambda _track, down_track, _now: self.begun.append(down_track),
        )
        self.keeper = GopCache()
        self.viewers: list[FakeViewer] = []
        self.timestamp = 2**32 - 20 * FRAME
        """It wraps soon."""
        self.number = 0

    def picture(self, *, key: bool = False, packets: int = 1, ahead: int = FRAME) -> None:
        """Bring the next picture; its payloads tell its number, the keyframe's mark and the packet's place."""
        self.loop.now += 1 / 30
        self.timestamp += ahead
        self.number += 1
        payloads = [f"{self.number}:{'key' if key else ''}:{place}".encode() for place in range(packets)]
        self.keeper.add(payloads, is_keyframe=key)
        self.track.send(payloads, timestamp=self.timestamp, can_start=key, gop=self.keeper.current, now=self.loop.now)

    def join(self) -> FakeViewer:
        """A viewer comes."""
        viewer = FakeViewer(ssrc=len(self.viewers))
        self.viewers.append(viewer)
        self.track.add(viewer.down_track, self.loop.now)
        return viewer

    def refresh(self, viewer: FakeViewer, *, later_seconds: float = MIN_REPLAY_INTERVAL_SECONDS) -> None:
        """A viewer says that it has lost its picture."""
        self.loop.now += later_seconds
        self.track.handle_keyframe_request(viewer.down_track, self.loop.now)

    def switch(self, *, pictures: int, ahead: int) -> None:
        """Another feed is shown, which has had so many pictures since its keyframe: none at all if 0."""
        self.keeper = GopCache()
        self.number += 1  # whoever goes on in the former group has a gap here
        for number in range(pictures):
            self.number += 1
            self.keeper.add([f"{self.number}:{'' if number else 'key'}:0".encode()], is_keyframe=number == 0)
        self.timestamp += ahead
        self.track.switch_feed(self.keeper.current, newest_timestamp=self.timestamp, now=self.loop.now)


def pictures_of(packets: list[RtpPacket]) -> list[tuple[int, bool]]:
    """(number, whether a keyframe) of each picture. Every one is whole, marked, and has its own timestamp."""
    pictures: list[tuple[int, bool]] = []
    place = 0
    for index, packet in enumerate(packets):
        number, key, position = packet.payload.decode().split(":")
        assert int(position) == place
        if place == 0:
            pictures.append((int(number), key == "key"))
        assert int(number) == pictures[-1][0]
        ends = packet.marker == 1
        place = 0 if ends else place + 1
        if index:
            assert packet.sequence == (packets[index - 1].sequence + 1) & 0xFFFF
            step = (packet.timestamp - packets[index - 1].timestamp) & 0xFFFFFFFF
            assert step == 0 if int(position) else 0 < step < 2**31
    return pictures


def is_decodable(pictures: list[tuple[int, bool]]) -> bool:
    """Whether it begins with a keyframe, and every other picture follows the one that it needs."""
    befores = [(0, False), *pictures]
    return all(key or number == before + 1 for (before, _), (number, key) in zip(befores, pictures, strict=False)) and (
        not pictures or pictures[0][1]
    )


def test_a_viewer_that_was_there_first_begins_with_the_keyframe_itself() -> None:
    bench = Bench()
    viewer = bench.join()
    bench.picture()
    bench.picture(key=True)
    assert bench.begun == [viewer.down_track]
    bench.picture()
    packets = viewer.packets
    assert pictures_of(packets) == [(2, True), (3, False)]
    assert packets[0].sequence == FIRST


def test_a_viewer_that_comes_later_is_sent_the_group_and_then_the_present() -> None:
    bench = Bench()
    bench.picture(key=True)
    bench.picture()
    viewer = bench.join()
    assert viewer.datagrams == []
    assert not bench.track.has_started(viewer.down_track)
    bench.loop.run_all()
    assert bench.track.has_started(viewer.down_track)
    assert set(bench.begun) == {viewer.down_track}
    bench.picture()
    packets = viewer.packets
    assert pictures_of(packets) == [(1, True), (2, False), (3, False)]
    assert packets[-1].timestamp == bench.timestamp & 0xFFFFFFFF


def test_a_keyframe_on_the_way_is_the_shortcut_after_the_picture_that_was_begun() -> None:
    bench = Bench()
    bench.picture(key=True, packets=PACKETS_PER_TURN + 5)
    bench.picture(packets=50)
    viewer = bench.join()
    bench.loop.run()
    bench.picture(key=True)
    bench.picture()
    bench.loop.run_all()
    assert pictures_of(viewer.packets) == [(1, True), (3, True), (4, False)]


def test_sound_begins_with_the_next_packet_and_has_no_past() -> None:
    bench = Bench(MediaKind.AUDIO)
    bench.track.send([b"before"], timestamp=960, can_start=True, gop=None, now=0.0)
    viewer = bench.join()
    bench.loop.run_all()
    bench.track.send([b"after"], timestamp=1920, can_start=True, gop=None, now=0.02)
    bench.refresh(viewer)
    bench.loop.run_all()
    assert [packet.payload for packet in viewer.packets] == [b"after"]


def test_a_viewer_that_lost_its_picture_gets_the_group_again_and_no_number_twice() -> None:
    bench = Bench()
    bench.picture(key=True)
    viewer = bench.join()
    bench.loop.run_all()
    bench.picture()
    bench.refresh(viewer)
    bench.loop.run_all()
    bench.picture()
    bench.loop.run_all()
    bench.picture()
    assert pictures_of(viewer.packets) == [(1, True), (2, False), (1, True), (2, False), (3, False), (4, False)]


def test_timestamps_grow_also_where_a_keyframe_comes_hastily_after_a_long_group() -> None:
    bench = Bench()
    viewer = bench.join()
    bench.picture(key=True)
    for _ in range(40):
        bench.picture()
    bench.refresh(viewer)
    bench.loop.run_all()
    for _ in range(3):
        bench.picture(key=True, ahead=5)
        bench.loop.run_all()
    bench.picture()
    bench.loop.run_all()
    pictures = pictures_of(viewer.packets)
    assert is_decodable(pictures)
    assert pictures[-1] == (bench.number, False)


def test_pictures_that_come_on_the_way_make_nobody_faster() -> None:
    bench = Bench()
    bench.picture(key=True, packets=PACKETS_PER_TURN * 10)
    viewer = bench.join()
    for turn in range(5):
        bench.picture()
        bench.loop.run()
        assert len(viewer.datagrams) == PACKETS_PER_TURN * (turn + 1)


def test_a_viewer_that_asks_all_the_time_gets_the_group_once_a_second() -> None:
    bench = Bench()
    bench.picture(key=True)
    viewer = bench.join()
    bench.loop.run_all()
    for _ in range(10):
        bench.refresh(viewer, later_seconds=MIN_REPLAY_INTERVAL_SECONDS / 5)
        bench.loop.run_all()
        bench.picture()
        bench.loop.run_all()
    assert [number for number, key in pictures_of(viewer.packets) if key] == [1] * 3


def test_a_viewer_that_left_gets_nothing_more() -> None:
    bench = Bench()
    bench.picture(key=True, packets=PACKETS_PER_TURN * 2)
    viewer, waiting, live = bench.join(), bench.join(), bench.join()
    bench.loop.run()
    bench.track.remove(live.down_track)
    bench.track.remove(viewer.down_track)
    bench.loop.run_all()
    bench.track.remove(waiting.down_track)
    bench.picture()
    assert len(viewer.datagrams) == PACKETS_PER_TURN
    assert len(waiting.datagrams) == PACKETS_PER_TURN * 2
    assert not bench.track.has_started(waiting.down_track)
    assert bench.track.find_sent(waiting.down_track, FIRST) is None


def test_counters_are_those_of_the_viewer() -> None:
    bench = Bench()
    bench.picture(key=True, packets=PACKETS_PER_TURN * 2)
    viewer = bench.join()
    for _ in range(5):
        bench.loop.run()
        bench.picture()
        packets = viewer.datagrams
        if bench.track.has_started(viewer.down_track):
            assert viewer.down_track.packets == len(packets)
    bench.refresh(viewer)
    bench.loop.run_all()
    bench.picture()
    sent = viewer.packets
    assert viewer.down_track.packets == len(sent)
    assert bench.track.sent_octets(viewer.down_track) == sum(len(packet.payload) for packet in sent)


def test_what_a_viewer_was_sent_to_catch_up_is_forgotten_after_a_while() -> None:
    bench = Bench()
    bench.picture(key=True)
    bench.picture()
    viewer = bench.join()
    bench.loop.run_all()
    bench.track.expire_replays(bench.loop.now + REPLAY_HISTORY_SECONDS - 0.1)
    assert bench.track.find_sent(viewer.down_track, FIRST) is not None
    bench.track.expire_replays(bench.loop.now + REPLAY_HISTORY_SECONDS + 0.1)
    assert bench.track.find_sent(viewer.down_track, FIRST) is None
    bench.picture()
    assert bench.track.find_sent(viewer.down_track, FIRST + 2) is not None


def test_beyond_the_bounds_a_viewer_waits_for_the_next_keyframe_and_others_go_on() -> None:
    bench = Bench()
    live = bench.join()
    bench.picture(key=True)
    for _ in range(MAX_GOP_FRAMES):
        bench.picture()
    late = bench.join()
    bench.refresh(live)
    bench.loop.run_all()
    assert late.datagrams == []
    bench.picture(key=True)
    assert pictures_of(late.packets) == [(bench.number, True)]
    assert is_decodable(pictures_of(live.packets))
    assert len(live.datagrams) == bench.number


@pytest.mark.parametrize("pictures", [0, 1, 40])
def test_another_feed_follows_from_its_keyframe_in_the_same_stream(pictures: int) -> None:
    bench = Bench()
    viewer = bench.join()
    bench.picture(key=True)
    bench.picture()
    bench.switch(pictures=pictures, ahead=1)
    bench.loop.run()
    bench.picture(key=pictures == 0)
    bench.loop.run_all()
    bench.picture()
    seen = pictures_of(viewer.packets)
    assert is_decodable(seen)
    assert len(seen) == 2 + pictures + 2


Event: TypeAlias = tuple[str, int]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("picture"), st.integers(1, 2 * PACKETS_PER_TURN)),
        st.tuples(st.just("key"), st.integers(1, 3 * PACKETS_PER_TURN)),
        st.tuples(st.just("hasty"), st.integers(0, 1)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("join"), st.just(0)),
        st.tuples(st.just("refresh"), st.integers(0, 9)),
        st.tuples(st.just("switch"), st.integers(0, 30)),
    ),
    max_size=40,
)


def happen(bench: Bench, event: Event) -> None:
    """Let one thing happen."""
    what, count = event
    if what in ("picture", "key"):
        bench.picture(key=what == "key", packets=count)
    elif what == "hasty":
        bench.picture(key=bool(count), ahead=1)
    elif what == "turn":
        for _ in range(count):
            bench.loop.run()
    elif what == "join":
        bench.join()
    elif what == "switch":
        bench.switch(pictures=count, ahead=1 + count)
    elif bench.viewers:
        bench.refresh(bench.viewers[count % len(bench.viewers)])


@settings(max_examples=200)
@given(EVENTS)
def test_whatever_happens_a_viewer_sees_one_decodable_stream_that_ends_in_the_present(events: list[Event]) -> None:
    bench = Bench()
    bench.join()
    for event in events:
        happen(bench, event)
    bench.picture(key=True)
    for _ in range(3):
        bench.loop.run_all()
        bench.picture()
    for viewer in bench.viewers:
        packets = viewer.packets
        assert is_decodable(pictures_of(packets))
        assert packets[0].sequence == FIRST
        assert packets[-1].payload == f"{bench.number}::0".encode()
        assert packets[-1].timestamp == bench.timestamp & 0xFFFFFFFF
        assert viewer.down_track.packets == len(packets)
        assert bench.track.sent_octets(viewer.down_track) == sum(len(packet.payload) for packet in packets)
        for packet in packets:
            again = bench.track.find_sent(viewer.down_track, packet.sequence)
            assert again is None or again[1:] == (packet.marker, packet.timestamp, packet.payload)
        assert bench.track.find_sent(viewer.down_track, packets[-1].sequence) is not None


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(0, 20))
def test_every_packet_of_a_catch_up_can_be_asked_for_again(sizes: list[int], turns: int) -> None:
    bench = Bench()
    for number, size in enumerate(sizes):
        bench.picture(key=number == 0, packets=size)
    viewer = bench.join()
    for _ in range(turns):
        bench.loop.run()
    for packet in viewer.packets:
        again = bench.track.find_sent(viewer.down_track, packet.sequence)
        assert again is not None
        assert again[1:] == (packet.marker, packet.timestamp, packet.payload)

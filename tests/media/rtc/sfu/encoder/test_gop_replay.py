"""The replay of a GOP to one viewer."""

from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.encoder.gop_replay import NOTHING_SENT, GopReplay, ReplayState
from tests.media.rtc.sfu.fake_viewer import FakeViewer

SECOND_TICKS = 90_000
FRAME_TICKS = 3_000


def make_gop(*frames: tuple[bytes, ...]) -> Gop:
    """A GOP of frames, each given by its payloads."""
    gop = Gop()
    for payloads in frames:
        assert gop.add(payloads)
    return gop


def start_replay(
    viewer: FakeViewer, *, next_sequence: int = 7, last_timestamp: int = NOTHING_SENT, octets: int = 0
) -> GopReplay:
    """A replay that has sent nothing."""
    return GopReplay(
        viewer.down_track, next_sequence=next_sequence, last_timestamp=last_timestamp, octets=octets, now=1.0
    )


def test_frames_are_sent_in_order_with_timestamps_just_before_the_newest() -> None:
    viewer, gop = FakeViewer(), make_gop((b"k0", b"k1"), (b"p",), (b"q",))
    replay = start_replay(viewer)
    assert replay.send_next(gop, newest_timestamp=SECOND_TICKS, max_packets=9, now=0.0) is ReplayState.CAUGHT_UP
    assert [(packet.sequence, packet.timestamp, packet.marker, packet.payload) for packet in viewer.packets] == [
        (7, SECOND_TICKS - 2, 0, b"k0"),
        (8, SECOND_TICKS - 2, 1, b"k1"),
        (9, SECOND_TICKS - 1, 1, b"p"),
        (10, SECOND_TICKS, 1, b"q"),
    ]
    assert (replay.next_sequence, replay.last_timestamp, replay.octets) == (11, SECOND_TICKS, 6)


def test_a_turn_sends_a_limited_number_of_packets() -> None:
    viewer, gop = FakeViewer(), make_gop((b"k0", b"k1"), (b"p",))
    replay = start_replay(viewer)
    assert replay.send_next(gop, newest_timestamp=SECOND_TICKS, max_packets=1, now=0.0) is ReplayState.SENDING
    at_boundary = replay.is_at_frame_boundary
    assert replay.send_next(gop, newest_timestamp=SECOND_TICKS, max_packets=2, now=0.0) is ReplayState.SENDING
    assert (at_boundary, replay.is_at_frame_boundary) == (False, True)
    assert replay.send_next(gop, newest_timestamp=SECOND_TICKS, max_packets=2, now=0.0) is ReplayState.CAUGHT_UP
    assert [packet.payload for packet in viewer.packets] == [b"k0", b"k1", b"p"]


def test_frames_added_during_the_replay_move_the_timestamps_of_the_rest() -> None:
    viewer, gop = FakeViewer(), make_gop((b"k",), (b"p",))
    replay = start_replay(viewer)
    replay.send_next(gop, newest_timestamp=SECOND_TICKS, max_packets=1, now=0.0)
    gop.add((b"q",))
    replay.send_next(gop, newest_timestamp=SECOND_TICKS + FRAME_TICKS, max_packets=9, now=0.0)
    assert [packet.timestamp for packet in viewer.packets] == [
        SECOND_TICKS - 1,
        SECOND_TICKS + FRAME_TICKS - 1,
        SECOND_TICKS + FRAME_TICKS,
    ]


def test_a_viewer_that_is_ahead_of_the_live_timestamps_waits_for_them() -> None:
    viewer, gop = FakeViewer(), make_gop((b"k",), (b"p",))
    replay = start_replay(viewer, last_timestamp=SECOND_TICKS)
    assert replay.send_next(gop, newest_timestamp=SECOND_TICKS, max_packets=9, now=0.0) is ReplayState.WAITING
    gop.add((b"q",))
    assert (
        replay.send_next(gop, newest_timestamp=SECOND_TICKS + FRAME_TICKS, max_packets=9, now=0.0)
        is ReplayState.CAUGHT_UP
    )
    assert [packet.timestamp for packet in viewer.packets] == [
        SECOND_TICKS + 1,
        SECOND_TICKS + 2,
        SECOND_TICKS + FRAME_TICKS,
    ]


def test_without_a_gop_the_replay_waits() -> None:
    replay = start_replay(FakeViewer())
    assert replay.send_next(None, newest_timestamp=SECOND_TICKS, max_packets=9, now=0.0) is ReplayState.WAITING
    assert not replay.has_started


def test_a_new_gop_follows_when_the_current_frame_is_complete() -> None:
    viewer, previous, gop = FakeViewer(), make_gop((b"k0", b"k1"), (b"never",)), make_gop((b"key",))
    replay = start_replay(viewer)
    replay.send_next(previous, newest_timestamp=SECOND_TICKS, max_packets=1, now=0.0)
    assert (
        replay.send_next(gop, newest_timestamp=SECOND_TICKS + FRAME_TICKS, max_packets=9, now=0.0)
        is ReplayState.CAUGHT_UP
    )
    packets = viewer.packets
    assert [packet.payload for packet in packets] == [b"k0", b"k1", b"key"]
    assert [packet.sequence for packet in packets] == [7, 8, 9]
    assert packets[1].timestamp < packets[2].timestamp


def test_when_the_gop_is_dropped_the_replay_completes_its_frame_and_waits() -> None:
    viewer, previous = FakeViewer(), make_gop((b"k0", b"k1"), (b"never",))
    replay = start_replay(viewer)
    replay.send_next(previous, newest_timestamp=SECOND_TICKS, max_packets=1, now=0.0)
    assert replay.send_next(None, newest_timestamp=SECOND_TICKS, max_packets=9, now=0.0) is ReplayState.WAITING
    assert [packet.payload for packet in viewer.packets] == [b"k0", b"k1"]


def test_sent_packets_are_found_across_a_sequence_number_wrap_and_across_gops() -> None:
    viewer = FakeViewer()
    replay = start_replay(viewer, next_sequence=0xFFFF)
    replay.send_next(make_gop((b"k0", b"k1")), newest_timestamp=SECOND_TICKS, max_packets=9, now=0.0)
    replay.send_next(make_gop((b"key",)), newest_timestamp=SECOND_TICKS + FRAME_TICKS, max_packets=9, now=0.0)
    for packet in viewer.packets:
        found = replay.find_sent(packet.sequence)
        assert found is not None
        assert found == (packet.sequence, packet.marker, packet.timestamp, packet.payload)
    assert replay.find_sent(0xFFFE) is None
    assert replay.find_sent(2) is None

"""One viewer's way from the last keyframe to the present."""

from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.encoder.gop_replay import NOTHING_SENT, GopReplay, ReplayState
from tests.media.rtc.sfu.fake_viewer import FakeViewer

SECOND = 90_000
FRAME = 3_000


def group_of(*pictures: tuple[bytes, ...]) -> Gop:
    """A group of these pictures' payloads."""
    group = Gop()
    for payloads in pictures:
        assert group.add(payloads)
    return group


def catching_up(
    viewer: FakeViewer, *, next_sequence: int = 7, last_timestamp: int = NOTHING_SENT, octets: int = 0
) -> GopReplay:
    """A way that begins."""
    return GopReplay(
        viewer.down_track, next_sequence=next_sequence, last_timestamp=last_timestamp, octets=octets, now=1.0
    )


def test_the_pictures_come_in_order_just_before_the_present() -> None:
    viewer, group = FakeViewer(), group_of((b"k0", b"k1"), (b"p",), (b"q",))
    way = catching_up(viewer)
    assert way.send_next(group, newest_timestamp=SECOND, max_packets=9) is ReplayState.CAUGHT_UP
    assert [(packet.sequence, packet.timestamp, packet.marker, packet.payload) for packet in viewer.packets] == [
        (7, SECOND - 2, 0, b"k0"),
        (8, SECOND - 2, 1, b"k1"),
        (9, SECOND - 1, 1, b"p"),
        (10, SECOND, 1, b"q"),
    ]
    assert (way.next_sequence, way.last_timestamp, way.octets) == (11, SECOND, 6)


def test_so_many_packets_at_once_and_then_the_next() -> None:
    viewer, group = FakeViewer(), group_of((b"k0", b"k1"), (b"p",))
    way = catching_up(viewer)
    assert way.send_next(group, newest_timestamp=SECOND, max_packets=1) is ReplayState.SENDING
    middle = way.is_at_frame_boundary
    assert way.send_next(group, newest_timestamp=SECOND, max_packets=2) is ReplayState.SENDING
    assert (middle, way.is_at_frame_boundary) == (False, True)
    assert way.send_next(group, newest_timestamp=SECOND, max_packets=2) is ReplayState.CAUGHT_UP
    assert [packet.payload for packet in viewer.packets] == [b"k0", b"k1", b"p"]


def test_what_comes_meanwhile_moves_the_rest_nearer_to_the_present() -> None:
    viewer, group = FakeViewer(), group_of((b"k",), (b"p",))
    way = catching_up(viewer)
    way.send_next(group, newest_timestamp=SECOND, max_packets=1)
    group.add((b"q",))
    way.send_next(group, newest_timestamp=SECOND + FRAME, max_packets=9)
    assert [packet.timestamp for packet in viewer.packets] == [SECOND - 1, SECOND + FRAME - 1, SECOND + FRAME]


def test_who_has_seen_the_present_waits_with_going_live_until_the_timestamps_have_passed_it() -> None:
    viewer, group = FakeViewer(), group_of((b"k",), (b"p",))
    way = catching_up(viewer, last_timestamp=SECOND)
    assert way.send_next(group, newest_timestamp=SECOND, max_packets=9) is ReplayState.WAITING
    group.add((b"q",))
    assert way.send_next(group, newest_timestamp=SECOND + FRAME, max_packets=9) is ReplayState.CAUGHT_UP
    assert [packet.timestamp for packet in viewer.packets] == [SECOND + 1, SECOND + 2, SECOND + FRAME]


def test_without_a_group_it_waits() -> None:
    way = catching_up(FakeViewer())
    assert way.send_next(None, newest_timestamp=SECOND, max_packets=9) is ReplayState.WAITING
    assert not way.has_started


def test_another_group_follows_after_the_whole_picture() -> None:
    viewer, former, group = FakeViewer(), group_of((b"k0", b"k1"), (b"never",)), group_of((b"key",))
    way = catching_up(viewer)
    way.send_next(former, newest_timestamp=SECOND, max_packets=1)
    assert way.send_next(group, newest_timestamp=SECOND + FRAME, max_packets=9) is ReplayState.CAUGHT_UP
    packets = viewer.packets
    assert [packet.payload for packet in packets] == [b"k0", b"k1", b"key"]
    assert [packet.sequence for packet in packets] == [7, 8, 9]
    assert packets[1].timestamp < packets[2].timestamp


def test_a_group_that_is_lost_ends_after_the_whole_picture_and_it_waits() -> None:
    viewer, former = FakeViewer(), group_of((b"k0", b"k1"), (b"never",))
    way = catching_up(viewer)
    way.send_next(former, newest_timestamp=SECOND, max_packets=1)
    assert way.send_next(None, newest_timestamp=SECOND, max_packets=9) is ReplayState.WAITING
    assert [packet.payload for packet in viewer.packets] == [b"k0", b"k1"]


def test_what_was_sent_is_found_by_its_number_also_across_the_wrap_and_across_groups() -> None:
    viewer = FakeViewer()
    way = catching_up(viewer, next_sequence=0xFFFF)
    way.send_next(group_of((b"k0", b"k1")), newest_timestamp=SECOND, max_packets=9)
    way.send_next(group_of((b"key",)), newest_timestamp=SECOND + FRAME, max_packets=9)
    for packet in viewer.packets:
        found = way.find_sent(packet.sequence)
        assert found is not None
        assert found == (packet.sequence, packet.marker, packet.timestamp, packet.payload)
    assert way.find_sent(0xFFFE) is None
    assert way.find_sent(2) is None

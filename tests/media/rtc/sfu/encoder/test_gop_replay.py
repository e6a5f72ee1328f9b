"""One viewer's way from the last keyframe to the present."""

from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.encoder.gop_replay import BEFORE_ALL, GopReplay, Progress
from tests.media.rtc.sfu.test_down_track import Receiver

SECOND = 90_000
FRAME = 3_000


def group_of(*pictures: tuple[bytes, ...]) -> Gop:
    """A group of these pictures' payloads."""
    group = Gop()
    for payloads in pictures:
        assert group.add(payloads)
    return group


def catching_up(
    viewer: Receiver, *, next_sequence: int = 7, last_timestamp: int = BEFORE_ALL, octets: int = 0
) -> GopReplay:
    """A way that begins."""
    return GopReplay(viewer.outlet, next_sequence=next_sequence, last_timestamp=last_timestamp, octets=octets, now=1.0)


def test_the_pictures_come_in_order_just_before_the_present() -> None:
    viewer, group = Receiver(), group_of((b"k0", b"k1"), (b"p",), (b"q",))
    way = catching_up(viewer)
    assert way.advance(group, newest_timestamp=SECOND, max_packets=9) is Progress.ARRIVED
    assert [(packet.sequence, packet.timestamp, packet.marker, packet.payload) for packet in viewer.packets] == [
        (7, SECOND - 2, 0, b"k0"),
        (8, SECOND - 2, 1, b"k1"),
        (9, SECOND - 1, 1, b"p"),
        (10, SECOND, 1, b"q"),
    ]
    assert (way.next_sequence, way.last_timestamp, way.octets) == (11, SECOND, 6)


def test_so_many_packets_at_once_and_then_the_next() -> None:
    viewer, group = Receiver(), group_of((b"k0", b"k1"), (b"p",))
    way = catching_up(viewer)
    assert way.advance(group, newest_timestamp=SECOND, max_packets=1) is Progress.GOING
    middle = way.is_between_pictures
    assert way.advance(group, newest_timestamp=SECOND, max_packets=2) is Progress.GOING
    assert (middle, way.is_between_pictures) == (False, True)
    assert way.advance(group, newest_timestamp=SECOND, max_packets=2) is Progress.ARRIVED
    assert [packet.payload for packet in viewer.packets] == [b"k0", b"k1", b"p"]


def test_what_comes_meanwhile_moves_the_rest_nearer_to_the_present() -> None:
    viewer, group = Receiver(), group_of((b"k",), (b"p",))
    way = catching_up(viewer)
    way.advance(group, newest_timestamp=SECOND, max_packets=1)
    group.add((b"q",))
    way.advance(group, newest_timestamp=SECOND + FRAME, max_packets=9)
    assert [packet.timestamp for packet in viewer.packets] == [SECOND - 1, SECOND + FRAME - 1, SECOND + FRAME]


def test_who_has_seen_the_present_waits_with_going_live_until_the_timestamps_have_passed_it() -> None:
    viewer, group = Receiver(), group_of((b"k",), (b"p",))
    way = catching_up(viewer, last_timestamp=SECOND)
    assert way.advance(group, newest_timestamp=SECOND, max_packets=9) is Progress.WAITING
    group.add((b"q",))
    assert way.advance(group, newest_timestamp=SECOND + FRAME, max_packets=9) is Progress.ARRIVED
    assert [packet.timestamp for packet in viewer.packets] == [SECOND + 1, SECOND + 2, SECOND + FRAME]


def test_without_a_group_it_waits() -> None:
    way = catching_up(Receiver())
    assert way.advance(None, newest_timestamp=SECOND, max_packets=9) is Progress.WAITING
    assert not way.has_begun


def test_another_group_follows_after_the_whole_picture() -> None:
    viewer, former, group = Receiver(), group_of((b"k0", b"k1"), (b"never",)), group_of((b"key",))
    way = catching_up(viewer)
    way.advance(former, newest_timestamp=SECOND, max_packets=1)
    assert way.advance(group, newest_timestamp=SECOND + FRAME, max_packets=9) is Progress.ARRIVED
    packets = viewer.packets
    assert [packet.payload for packet in packets] == [b"k0", b"k1", b"key"]
    assert [packet.sequence for packet in packets] == [7, 8, 9]
    assert packets[1].timestamp < packets[2].timestamp


def test_a_group_that_is_lost_ends_after_the_whole_picture_and_it_waits() -> None:
    viewer, former = Receiver(), group_of((b"k0", b"k1"), (b"never",))
    way = catching_up(viewer)
    way.advance(former, newest_timestamp=SECOND, max_packets=1)
    assert way.advance(None, newest_timestamp=SECOND, max_packets=9) is Progress.WAITING
    assert [packet.payload for packet in viewer.packets] == [b"k0", b"k1"]


def test_what_was_sent_is_found_by_its_number_also_across_the_wrap_and_across_groups() -> None:
    viewer = Receiver()
    way = catching_up(viewer, next_sequence=0xFFFF)
    way.advance(group_of((b"k0", b"k1")), newest_timestamp=SECOND, max_packets=9)
    way.advance(group_of((b"key",)), newest_timestamp=SECOND + FRAME, max_packets=9)
    for packet in viewer.packets:
        found = way.sent(packet.sequence)
        assert found is not None
        assert found == (packet.sequence, packet.marker, packet.timestamp, packet.payload)
    assert way.sent(0xFFFE) is None
    assert way.sent(2) is None

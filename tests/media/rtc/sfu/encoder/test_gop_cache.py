"""The pictures since the last keyframe: what is kept, and how much of it."""

from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.encoder.gop_cache import (
    MAX_GOP_BYTES,
    MAX_GOP_FRAMES,
    MAX_GOP_PACKETS,
    GopCache,
    GopPacket,
)


def test_nothing_is_kept_before_the_first_keyframe() -> None:
    keeper = GopCache()
    keeper.add([b"lost"], is_keyframe=False)
    assert keeper.current is None


def test_a_group_is_its_keyframe_and_all_that_follows_with_the_ends_of_pictures_marked() -> None:
    keeper = GopCache()
    keeper.add([b"sps", b"idr"], is_keyframe=True)
    keeper.add([b"p"], is_keyframe=False)
    assert keeper.current is not None
    assert keeper.current.packets == [GopPacket(b"sps", 0, 0), GopPacket(b"idr", 1, 0), GopPacket(b"p", 1, 1)]
    assert keeper.current.frames == 2


def test_a_keyframe_begins_another_group_and_leaves_the_former_as_it_was() -> None:
    keeper = GopCache()
    keeper.add([b"one"], is_keyframe=True)
    former = keeper.current
    keeper.add([b"two"], is_keyframe=True)
    assert former is not None
    assert [packet.payload for packet in former.packets] == [b"one"]
    assert keeper.current is not None
    assert [packet.payload for packet in keeper.current.packets] == [b"two"]


def test_a_group_beyond_any_bound_is_dropped_until_the_next_keyframe() -> None:
    large = [bytes(MAX_PAYLOAD_SIZE_BYTES)] * 1000
    for picture, allowed in (
        ([b"small"], MAX_GOP_FRAMES),
        ([b"small"] * 100, MAX_GOP_PACKETS // 100),
        (large, MAX_GOP_BYTES // (MAX_PAYLOAD_SIZE_BYTES * 1000)),
    ):
        keeper = GopCache()
        for number in range(allowed):
            keeper.add(picture, is_keyframe=number == 0)
        kept = [keeper.current]
        for is_keyframe in (False, False, True):
            keeper.add(picture, is_keyframe=is_keyframe)
            kept.append(keeper.current)
        assert [None if group is None else group.frames for group in kept] == [allowed, None, None, 1]

"""The cached GOP: its frames and its limits."""

from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.encoder.gop_cache import (
    MAX_GOP_BYTES,
    MAX_GOP_FRAMES,
    MAX_GOP_PACKETS,
    GopCache,
    GopPacket,
)


def test_nothing_is_cached_before_the_first_keyframe() -> None:
    cache = GopCache()
    cache.add([b"lost"], is_keyframe=False)
    assert cache.current is None


def test_a_gop_is_a_keyframe_and_the_frames_after_it_with_the_last_packet_of_each_marked() -> None:
    cache = GopCache()
    cache.add([b"sps", b"idr"], is_keyframe=True)
    cache.add([b"p"], is_keyframe=False)
    assert cache.current is not None
    assert cache.current.packets == [GopPacket(b"sps", 0, 0), GopPacket(b"idr", 1, 0), GopPacket(b"p", 1, 1)]
    assert cache.current.frames == 2


def test_a_keyframe_starts_a_new_gop_and_does_not_change_the_previous_one() -> None:
    cache = GopCache()
    cache.add([b"one"], is_keyframe=True)
    previous = cache.current
    cache.add([b"two"], is_keyframe=True)
    assert previous is not None
    assert [packet.payload for packet in previous.packets] == [b"one"]
    assert cache.current is not None
    assert [packet.payload for packet in cache.current.packets] == [b"two"]


def test_a_gop_beyond_a_limit_is_dropped_until_the_next_keyframe() -> None:
    large = [bytes(MAX_PAYLOAD_SIZE_BYTES)] * 1000
    for frame, allowed in (
        ([b"small"], MAX_GOP_FRAMES),
        ([b"small"] * 100, MAX_GOP_PACKETS // 100),
        (large, MAX_GOP_BYTES // (MAX_PAYLOAD_SIZE_BYTES * 1000)),
    ):
        cache = GopCache()
        for number in range(allowed):
            cache.add(frame, is_keyframe=number == 0)
        kept = [cache.current]
        for is_keyframe in (False, False, True):
            cache.add(frame, is_keyframe=is_keyframe)
            kept.append(cache.current)
        assert [None if gop is None else gop.frames for gop in kept] == [allowed, None, None, 1]

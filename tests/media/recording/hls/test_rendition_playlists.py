"""The playlists of a rendition, for any sequence of segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.recording.hls.rendition_playlists import RenditionPlaylists
from stagebook.media.recording.hls.rendition_records import InitWritten, SegmentWritten, StreamBegan
from tests.media.recording.hls_rules import read_playlist

DURATIONS_US = st.lists(st.integers(min_value=1, max_value=25_000_000), min_size=1, max_size=60)


def make_playlists(durations_us: list[int], discontinuities: set[int]) -> RenditionPlaylists:
    """Return playlists with segments of these durations, and discontinuities before some of them."""
    playlists = RenditionPlaylists(rendition="high", segment_seconds=6)
    end_us, init = 0, -1
    for number, duration_us in enumerate(durations_us):
        end_us += duration_us
        began = None
        if number == 0 or number in discontinuities:
            init += 1
            playlists.add_init(InitWritten(number=init, video_codec="avc1.42e01f", sound_codec="mp4a.40.2"))
            began = StreamBegan(init=init, wall_clock_ms=1_700_000_000_000 + end_us // 1_000)
        playlists.add_segment(SegmentWritten(number=number, end_us=end_us, size_bytes=1_000, pictures=30, began=began))
    return playlists


@given(DURATIONS_US, st.sets(st.integers(min_value=1, max_value=59)))
def test_the_playlist_says_what_was_written(durations_us: list[int], discontinuities: set[int]) -> None:
    playlists = make_playlists(durations_us, discontinuities)
    listed = read_playlist(playlists.media_playlist(is_complete=True).decode())
    assert [round(segment.duration_seconds * 1_000_000) for segment in listed.segments] == durations_us
    begun = {number for number in discontinuities if number < len(durations_us)}
    assert {number for number, segment in enumerate(listed.segments) if segment.is_discontinuity} == begun
    assert all(
        (segment.date_time is not None) == (segment.is_discontinuity or n == 0)
        for n, segment in enumerate(listed.segments)
    )
    assert len({segment.init_uri for segment in listed.segments}) == 1 + len(begun)
    assert playlists.duration_ms == round(sum(durations_us) / 1_000)


@given(DURATIONS_US)
def test_no_segment_is_longer_than_the_target(durations_us: list[int]) -> None:
    listed = read_playlist(make_playlists(durations_us, set()).media_playlist(is_complete=True).decode())
    assert listed.target_seconds == max(6, *((duration_us + 500_000) // 1_000_000 for duration_us in durations_us))


@given(DURATIONS_US, st.sets(st.integers(min_value=1, max_value=59)))
def test_a_playlist_only_grows(durations_us: list[int], discontinuities: set[int]) -> None:
    playlists = make_playlists(durations_us, discontinuities)
    before = make_playlists(durations_us[:-1], discontinuities).media_playlist(is_complete=False)
    after = playlists.media_playlist(is_complete=False)
    segments_before = before.partition(b"#EXT-X-INDEPENDENT-SEGMENTS\n")[2]
    assert after.partition(b"#EXT-X-INDEPENDENT-SEGMENTS\n")[2].startswith(segments_before)
    assert playlists.media_playlist(is_complete=True) == after + b"#EXT-X-ENDLIST\n"


def test_the_multivariant_playlist_has_the_largest_segment_and_size() -> None:
    playlists = RenditionPlaylists(rendition="high", segment_seconds=2)
    first = InitWritten(number=0, video_codec="avc1.42e01f", sound_codec="mp4a.40.2", width=640, height=360)
    second = InitWritten(number=1, video_codec="avc1.640028", sound_codec="mp4a.40.2", width=320, height=180)
    playlists.add_init(first)
    began = StreamBegan(init=0, wall_clock_ms=0)
    playlists.add_segment(SegmentWritten(number=0, end_us=2_000_000, size_bytes=1_000, pictures=60, began=began))
    playlists.add_init(second)
    began = StreamBegan(init=1, wall_clock_ms=2_000)
    playlists.add_segment(SegmentWritten(number=1, end_us=4_000_000, size_bytes=3_000, pictures=30, began=began))
    attributes = (
        'BANDWIDTH=12000,AVERAGE-BANDWIDTH=8000,CODECS="avc1.42e01f,mp4a.40.2,avc1.640028",'
        "RESOLUTION=640x360,FRAME-RATE=22.500"
    )
    lines = playlists.multivariant_playlist().decode().splitlines()
    assert lines[-2:] == [f"#EXT-X-STREAM-INF:{attributes}", "high/playlist.m3u8"]


@pytest.mark.parametrize("time_ms", [0, 999, 1_700_000_000_001])
def test_times_have_milliseconds(time_ms: int) -> None:
    playlists = RenditionPlaylists(rendition="high", segment_seconds=2)
    began = StreamBegan(init=0, wall_clock_ms=time_ms)
    playlists.add_segment(SegmentWritten(number=0, end_us=1, size_bytes=1, began=began))
    assert f".{time_ms % 1_000:03d}Z" in playlists.media_playlist(is_complete=False).decode()


def test_a_publisher_that_names_another_profile_each_time_does_not_fill_the_multivariant_playlist() -> None:
    playlists = RenditionPlaylists(rendition="high", segment_seconds=2)
    for number in range(1_000):
        playlists.add_init(InitWritten(number=number, video_codec=f"avc1.{number:06x}", sound_codec="mp4a.40.2"))
        began = StreamBegan(init=number, wall_clock_ms=number * 1_000)
        playlists.add_segment(
            SegmentWritten(number=number, end_us=(number + 1) * 1_000_000, size_bytes=1_000, pictures=30, began=began)
        )
    text = playlists.multivariant_playlist().decode()
    assert "mp4a.40.2" in text
    assert len(text) < 1_000

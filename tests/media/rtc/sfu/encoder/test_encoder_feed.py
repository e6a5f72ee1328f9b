"""One feed: its clock samples, its cached GOP and its measurement."""

from structlog.testing import capture_logs

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import Unit
from stagebook.media.rtc.sfu.encoder.encoder_feed import EncoderFeed
from stagebook.media.rtc.sfu.encoder.gop_cache import MAX_GOP_FRAMES
from tests.media.rtc.feed_client import VideoOptions, audio_units, video_units


def make_feed(seconds: float, options: VideoOptions) -> tuple[EncoderFeed, int]:
    """A feed that has received `seconds` of media, and the payload bytes of that media."""
    feed, size_bytes = EncoderFeed("f", video_parameters="p", now=0.0), 0
    for units in (video_units(options, start_seconds=100.0), audio_units(start_seconds=100.0)):
        for due, unit in units:
            if due >= seconds:
                break
            feed.receive(unit, due)
            size_bytes += sum(len(payload) for payload in unit.payloads)
    return feed, size_bytes


def test_the_newest_unit_is_the_one_with_the_highest_timestamp_not_the_last_received() -> None:
    feed, _ = make_feed(1.0, VideoOptions(b_frames=2))
    assert 100.9 < feed.newest[MediaKind.VIDEO].timestamp / 90_000 <= 101.1
    assert 100.9 < feed.newest[MediaKind.AUDIO].timestamp / 48_000 < 101.0
    newest = feed.newest[MediaKind.VIDEO]
    feed.receive(
        Unit(kind=MediaKind.VIDEO, timestamp=newest.timestamp - 3_000, is_keyframe=False, payloads=(b"\x01\x9c",)), 5.0
    )
    assert (feed.newest[MediaKind.VIDEO], feed.last_frame_at) == (newest, 5.0)


def test_the_last_gop_is_cached() -> None:
    feed, _ = make_feed(1.0, VideoOptions(gop_frames=20))
    assert feed.gop_cache.current is not None
    assert feed.gop_cache.current.frames == 10


def test_keyframes_too_far_apart_for_the_cache_are_logged_once() -> None:
    feed = EncoderFeed("f", video_parameters="p", now=0.0)
    with capture_logs() as logs:
        for number in range(3 * (MAX_GOP_FRAMES + 1)):
            is_keyframe = number % (MAX_GOP_FRAMES + 1) == 0
            unit = Unit(
                kind=MediaKind.VIDEO, timestamp=number * 3_000, is_keyframe=is_keyframe, payloads=(b"\x41\x9a",)
            )
            feed.receive(unit, number / 30)
            assert len(logs) == (number >= MAX_GOP_FRAMES)
    assert (logs[0]["log_level"], logs[0]["connection_id"]) == ("warning", "f")


def test_the_measurement_includes_audio() -> None:
    feed, size_bytes = make_feed(1.0, VideoOptions(width=640, height=360, b_frames=2))
    measured = feed.measure(1.0)
    assert (measured.width, measured.height, measured.has_b_frames) == (640, 360, True)
    assert measured.bitrate_bps == size_bytes * 8
    assert feed.measure(2.0).bitrate_bps == 0

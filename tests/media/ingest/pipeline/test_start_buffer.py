"""The first units of a stream are kept until it can be played, within a size limit."""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.pipeline.start_buffer import MAX_BUFFERED_BYTES, StartBuffer
from stagebook.media.media_bus import Unit

AUDIO = Unit(kind=MediaKind.AUDIO, timestamp=0, is_keyframe=False, payloads=(b"opus",))
KEYFRAME = Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=True, payloads=(b"sps", b"idr"))
OTHER = Unit(kind=MediaKind.VIDEO, timestamp=3_000, is_keyframe=False, payloads=(b"slice",))
LARGE = Unit(kind=MediaKind.VIDEO, timestamp=3_000, is_keyframe=False, payloads=(bytes(MAX_BUFFERED_BYTES),))


def test_a_stream_with_audio_starts_at_its_first_keyframe() -> None:
    buffer = StartBuffer()
    assert buffer.add([AUDIO]) == []
    assert buffer.add([OTHER]) == []
    assert buffer.add([KEYFRAME]) == [KEYFRAME]


def test_a_stream_without_audio_starts_when_audio_comes() -> None:
    buffer = StartBuffer()
    assert buffer.add([KEYFRAME]) == []
    assert buffer.add([OTHER]) == []
    assert buffer.add([AUDIO, AUDIO]) == [KEYFRAME, OTHER, AUDIO, AUDIO]


def test_a_later_keyframe_replaces_an_earlier_one() -> None:
    buffer = StartBuffer()
    for unit in (KEYFRAME, OTHER, KEYFRAME):
        assert buffer.add([unit]) == []
    assert buffer.add([AUDIO]) == [KEYFRAME, AUDIO]


def test_beyond_the_size_limit_units_are_dropped_until_the_next_keyframe() -> None:
    buffer = StartBuffer()
    for unit in (KEYFRAME, LARGE, OTHER):
        assert buffer.add([unit]) == []
    assert buffer.add([AUDIO]) == []
    assert buffer.add([OTHER]) == []
    assert buffer.add([KEYFRAME]) == [KEYFRAME]


def test_the_missing_part_is_named() -> None:
    buffer = StartBuffer()
    assert buffer.missing() == "the stream has neither audio nor video"
    buffer.add([OTHER])
    assert buffer.missing() == "the stream has no audio"
    buffer.add([AUDIO])
    assert buffer.missing() == "the video has no keyframe"
    audio_only = StartBuffer()
    audio_only.add([AUDIO])
    assert audio_only.missing() == "the stream has no video"

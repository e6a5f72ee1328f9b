"""The beginning of a stream is held until it can be shown, and not for ever."""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.pipeline.start_buffer import MAX_HELD_BYTES, Opening
from stagebook.media.media_bus import Unit

SOUND = Unit(kind=MediaKind.AUDIO, timestamp=0, is_keyframe=False, payloads=(b"opus",))
KEYFRAME = Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=True, payloads=(b"sps", b"idr"))
OTHER = Unit(kind=MediaKind.VIDEO, timestamp=3_000, is_keyframe=False, payloads=(b"slice",))
LARGE = Unit(kind=MediaKind.VIDEO, timestamp=3_000, is_keyframe=False, payloads=(bytes(MAX_HELD_BYTES),))


def test_it_opens_with_the_keyframe_if_there_is_audio() -> None:
    opening = Opening()
    assert opening.take([SOUND]) == []
    assert opening.take([OTHER]) == []
    assert opening.take([KEYFRAME]) == [KEYFRAME]


def test_it_opens_with_the_audio_and_all_that_waited_for_it() -> None:
    opening = Opening()
    assert opening.take([KEYFRAME]) == []
    assert opening.take([OTHER]) == []
    assert opening.take([SOUND, SOUND]) == [KEYFRAME, OTHER, SOUND, SOUND]


def test_a_later_keyframe_is_a_better_beginning() -> None:
    opening = Opening()
    for unit in (KEYFRAME, OTHER, KEYFRAME):
        assert opening.take([unit]) == []
    assert opening.take([SOUND]) == [KEYFRAME, SOUND]


def test_what_is_too_much_is_dropped_up_to_the_next_keyframe() -> None:
    opening = Opening()
    for unit in (KEYFRAME, LARGE, OTHER):
        assert opening.take([unit]) == []
    assert opening.take([SOUND]) == []
    assert opening.take([OTHER]) == []
    assert opening.take([KEYFRAME]) == [KEYFRAME]


def test_it_tells_what_is_missing() -> None:
    opening = Opening()
    assert opening.missing() == "the stream has neither audio nor video"
    opening.take([OTHER])
    assert opening.missing() == "the stream has no audio"
    opening.take([SOUND])
    assert opening.missing() == "the video has no keyframe"
    silent = Opening()
    silent.take([SOUND])
    assert silent.missing() == "the stream has no video"

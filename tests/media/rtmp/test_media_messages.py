"""Media messages: continuous timestamps, and aggregate messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtmp.media_messages import MediaReader
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

LIMITS = RtmpLimits()
AUDIO, VIDEO, SCRIPT, AGGREGATE = 8, 9, 18, 22


def timestamps(*values: int) -> list[int]:
    reader = MediaReader(LIMITS)
    return [event.timestamp_ms for value in values for event in reader.read(Message(VIDEO, 1, value, b"x"))]


def tag(type_id: int, timestamp: int, payload: bytes) -> bytes:
    """An FLV tag followed by its back pointer."""
    header = bytes([type_id]) + len(payload).to_bytes(3) + (timestamp & 0xFFFFFF).to_bytes(3)
    return header + bytes([timestamp >> 24, 0, 0, 0]) + payload + (11 + len(payload)).to_bytes(4)


def aggregate(*tags: bytes, timestamp: int = 0, limits: RtmpLimits = LIMITS) -> list[VideoMessage | AudioMessage]:
    return MediaReader(limits).read(Message(AGGREGATE, 1, timestamp, b"".join(tags)))


def test_audio_and_video_messages_are_events() -> None:
    reader = MediaReader(LIMITS)
    assert reader.read(Message(VIDEO, 1, 40, b"\x17\x01")) == [VideoMessage(timestamp_ms=40, payload=b"\x17\x01")]
    assert reader.read(Message(AUDIO, 1, 43, b"\xaf\x01")) == [AudioMessage(timestamp_ms=43, payload=b"\xaf\x01")]


def test_an_empty_message_is_ignored_with_its_timestamp() -> None:
    reader = MediaReader(LIMITS)
    assert reader.read(Message(AUDIO, 1, 2**31 + 5, b"")) == []
    assert reader.read(Message(VIDEO, 1, 3, b"x")) == [VideoMessage(timestamp_ms=3, payload=b"x")]


def test_a_wrapped_timestamp_continues() -> None:
    assert timestamps(2**32 - 10, 5, 30) == [2**32 - 10, 2**32 + 5, 2**32 + 30]


def test_audio_from_before_the_wrap_may_follow_video_from_after_it() -> None:
    assert timestamps(2**32 - 10, 5, 2**32 - 3) == [2**32 - 10, 2**32 + 5, 2**32 - 3]


def test_a_timestamp_before_zero_is_negative() -> None:
    assert timestamps(0, 2**32 - 20, 20) == [0, -20, 20]


def test_a_timestamp_far_from_the_previous_one_is_kept() -> None:
    assert timestamps(0, 3 * 10**9, 3 * 10**9 + 33) == [0, 3 * 10**9, 3 * 10**9 + 33]


@pytest.mark.parametrize("clock", [2**31, 2**32], ids=["31 bits", "32 bits"])
@given(st.data(), st.lists(st.integers(-(2**24), 2**24), max_size=20))
def test_steps_of_up_to_some_hours_are_followed_across_wraps(clock: int, data: st.DataObject, steps: list[int]) -> None:
    expected = [data.draw(st.integers(0, clock - 1))]
    for step in steps:
        expected.append(expected[-1] + step)
    assert timestamps(*(value % clock for value in expected)) == expected


def test_the_tags_of_an_aggregate_keep_their_distances() -> None:
    """RTMP 1.0 section 7.1.6."""
    tags = tag(VIDEO, 1000, b"\x17a"), tag(AUDIO, 1010, b"\xafb"), tag(VIDEO, 1040, b"\x27c")
    assert aggregate(*tags, timestamp=5000) == [
        VideoMessage(timestamp_ms=5000, payload=b"\x17a"),
        AudioMessage(timestamp_ms=5010, payload=b"\xafb"),
        VideoMessage(timestamp_ms=5040, payload=b"\x27c"),
    ]


def test_the_extended_timestamp_of_a_tag_is_its_upper_byte() -> None:
    tags = tag(VIDEO, 0x00FFFFFF, b"a"), tag(VIDEO, 0x01000000, b"b")
    assert [event.timestamp_ms for event in aggregate(*tags)] == [0, 1]


def test_other_tags_of_an_aggregate_are_ignored() -> None:
    assert aggregate(tag(SCRIPT, 0, b"x"), tag(AGGREGATE, 0, tag(VIDEO, 0, b"x"))) == []
    assert aggregate() == []


def test_the_last_back_pointer_may_be_missing() -> None:
    assert aggregate(tag(VIDEO, 0, b"abc")[:-4]) == [VideoMessage(timestamp_ms=0, payload=b"abc")]


@pytest.mark.parametrize("size", [1, 10, 11, 13])
def test_an_aggregate_that_ends_inside_a_tag_is_an_error(size: int) -> None:
    with pytest.raises(RtmpError, match="ends inside a tag"):
        aggregate(tag(AUDIO, 0, b"x"), tag(VIDEO, 0, b"abc")[:size])


def test_the_number_of_tags_is_limited() -> None:
    limits = RtmpLimits(max_aggregate_tags=3)
    assert len(aggregate(*[tag(AUDIO, 0, b"x")] * 3, limits=limits)) == 3
    with pytest.raises(RtmpError, match="more than 3 tags"):
        aggregate(*[tag(AUDIO, 0, b"x")] * 4, limits=limits)

"""The header of video messages: H.264 is read, and any other codec is an error that names it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.flv.video_tag import VideoTag, VideoTagType, read_further_tags, read_video_tag
from stagebook.media.port import IngestFault


def _expect(payload: bytes, *, tag_type: VideoTagType, composition_ms: int = 0, body: bytes = b"data") -> None:
    tag = read_video_tag(payload)
    assert tag is not None
    assert (tag.type, tag.composition_ms, bytes(tag.body)) == (tag_type, composition_ms, body)


def test_h264_is_read_from_the_legacy_layout() -> None:
    _expect(b"\x17\x00\x00\x00\x00data", tag_type=VideoTagType.CONFIGURATION)
    _expect(b"\x17\x01\x00\x00\x00data", tag_type=VideoTagType.FRAME)
    _expect(b"\x27\x01\x00\x00\x2adata", tag_type=VideoTagType.FRAME, composition_ms=42)


def test_h264_is_read_from_the_enhanced_layout() -> None:
    _expect(b"\x90avc1data", tag_type=VideoTagType.CONFIGURATION)
    _expect(b"\x91avc1\x00\x00\x2adata", tag_type=VideoTagType.FRAME, composition_ms=42)
    _expect(b"\xa3avc1data", tag_type=VideoTagType.FRAME)
    _expect(b"\x96\x01avc1\x00\x00\x00\x2adata", tag_type=VideoTagType.FRAME, composition_ms=42)


def test_composition_time_is_signed() -> None:
    _expect(b"\x27\x01\xff\xff\xf6data", tag_type=VideoTagType.FRAME, composition_ms=-10)
    _expect(b"\xa1avc1\xff\xff\xf6data", tag_type=VideoTagType.FRAME, composition_ms=-10)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x57\x00",
        b"\xd1\x00",
        b"\x17\x02\x00\x00\x00",
        b"\x92avc1",
        b"\x94avc1\x02\x00\x09colorInfo",
        b"\x96\x01hvc1\x01other track",
    ],
    ids=["empty", "command", "enhanced command", "end", "enhanced end", "metadata", "another track"],
)
def test_a_message_without_video_is_skipped(payload: bytes) -> None:
    assert read_video_tag(payload) is None


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"\x12data", "Sorenson H.263"),
        (b"\x13data", "Screen video"),
        (b"\x14data", "VP6"),
        (b"\x15data", "VP6 with alpha"),
        (b"\x16data", "Screen video 2"),
        (b"\x1c\x00\x00\x00\x00data", "HEVC"),
        (b"\x1a", "the unknown codec id 10"),
        (b"\x90hvc1data", "HEVC"),
        (b"\x90av01data", "AV1"),
        (b"\x90vp09data", "VP9"),
        (b"\x90vp08data", "VP8"),
        (b"\x90vvc1data", "VVC"),
        (b"\x96\x00hvc1\x00data", "HEVC"),
        (b"\x90\xffa\nbdata", r"\\xffa\\nb"),
    ],
)
def test_another_codec_is_an_error_that_names_it(payload: bytes, name: str) -> None:
    with pytest.raises(InputFaultError, match=f"{name}.*must be H.264") as caught:
        read_video_tag(payload)
    assert caught.value.fault is IngestFault.VIDEO_CODEC


@pytest.mark.parametrize(
    "payload", [b"\x17", b"\x17\x01\x00\x00", b"\x17\x03\x00\x00\x00", b"\x91avc1\x00\x00", b"\x95avc1", b"\x98avc1"]
)
def test_a_broken_header_is_an_input_fault(payload: bytes) -> None:
    with pytest.raises(InputFaultError) as caught:
        read_video_tag(payload)
    assert caught.value.fault is IngestFault.INPUT


def test_further_tracks_are_read_beside_track_0() -> None:
    payload = b"\x96\x21avc1\x00\x00\x00\x07\x00\x00\x00zeroavc1\x01\x00\x00\x06\x00\x00\x2aone"
    _expect(payload, tag_type=VideoTagType.FRAME, body=b"zero")
    (further,) = read_further_tags(payload)
    assert further.track_id == 1
    assert isinstance(further.tag, VideoTag)
    assert (further.tag.type, further.tag.composition_ms, bytes(further.tag.body)) == (VideoTagType.FRAME, 42, b"one")


def test_extensions_may_precede_a_further_track() -> None:
    (further,) = read_further_tags(b"\x97\x00\x00\x06\x00avc1\x03data")
    assert further.track_id == 3
    assert isinstance(further.tag, VideoTag)
    assert further.tag.type is VideoTagType.CONFIGURATION


def test_a_further_track_of_another_codec_does_not_hide_the_others() -> None:
    payload = b"\x96\x20hvc1\x01\x00\x00\x01xavc1\x02\x00\x00\x01x"
    other, h264 = read_further_tags(payload)
    assert isinstance(other.tag, InputFaultError)
    assert other.tag.fault is IngestFault.VIDEO_CODEC
    assert isinstance(h264.tag, VideoTag)


@pytest.mark.parametrize(
    "payload", [b"", b"\x17\x01\x00\x00\x00data", b"\x91avc1\x00\x00\x00data", b"\x96\x01avc1\x00\x00\x00\x00data"]
)
def test_most_messages_have_no_further_track(payload: bytes) -> None:
    assert read_further_tags(payload) == []


@given(st.binary(max_size=40))
def test_random_bytes_are_read_or_refused(payload: bytes) -> None:
    with suppress(InputFaultError):
        tag = read_video_tag(payload)
        assert tag is None or len(tag.body) < len(payload)

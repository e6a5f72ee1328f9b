"""Access units in MP4 form."""

from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.recording.hls.access_unit import length_prefixed, nal_units, video_format
from tests.media.recording.tapped_media import second_of_pictures


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=30)), max_size=8))
def test_units_are_kept(parts: list[tuple[bool, bytes]]) -> None:
    # A NAL unit has no start code in it, and ends with another byte than zero (H.264 section 7.4.1).
    units = [part.replace(b"\0", b"\1") for _, part in parts]
    body = b"".join(
        (b"\0\0\0\1" if is_long else b"\0\0\1") + unit for (is_long, _), unit in zip(parts, units, strict=True)
    )
    assert nal_units(body) == units
    assert length_prefixed(body) == b"".join(len(unit).to_bytes(4) + unit for unit in units)


def test_a_keyframe_has_the_format_of_the_video() -> None:
    video = video_format(second_of_pictures()[0])
    assert video is not None
    assert (video.sps[0] & 0x1F, [unit[0] & 0x1F for unit in video.pps]) == (7, [8])


def test_another_picture_has_no_format() -> None:
    assert video_format(second_of_pictures()[1]) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_read(body: bytes) -> None:
    video_format(body)
    length_prefixed(body)

"""The slices of one frame become one unit, and frames of one message are not delayed."""

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.frame_assembler import MAX_FRAME_BYTES, MAX_FRAME_PAYLOADS, FrameAssembler
from stagebook.media.media_bus import Unit
from stagebook.media.port import IngestFault


def unit(timestamp: int, *payloads: bytes, is_keyframe: bool = False) -> Unit:
    return Unit(kind=MediaKind.VIDEO, timestamp=timestamp, is_keyframe=is_keyframe, payloads=payloads)


def passing() -> FrameAssembler:
    """An assembler that has seen a keyframe in one message, at 0, and a frame at 3,000."""
    frames = FrameAssembler()
    assert frames.begin(unit(0, b"I", is_keyframe=True)) == []
    assert frames.begin(unit(3_000, b"P")) == [unit(0, b"I", is_keyframe=True), unit(3_000, b"P")]
    return frames


def test_after_a_keyframe_in_one_message_frames_are_not_delayed() -> None:
    frames = passing()
    assert frames.begin(unit(6_000, b"Q")) == [unit(6_000, b"Q")]


def test_frames_before_the_first_keyframe_do_not_decide() -> None:
    frames = FrameAssembler()
    assert frames.begin(unit(0, b"P")) == []
    assert frames.begin(unit(3_000, b"I", is_keyframe=True)) == [unit(0, b"P")]
    frames.extend((b"J",))
    assert frames.begin(unit(6_000, b"P")) == [unit(3_000, b"I", b"J", is_keyframe=True)]


def test_the_slices_of_a_frame_are_joined() -> None:
    frames = FrameAssembler()
    assert frames.begin(unit(0, b"1", is_keyframe=True)) == []
    frames.extend((b"2", b"3"))
    frames.extend((b"4",))
    assert frames.begin(unit(3_000, b"5")) == [unit(0, b"1", b"2", b"3", b"4", is_keyframe=True)]
    frames.extend((b"6",))
    assert frames.begin(unit(6_000, b"7")) == [unit(3_000, b"5", b"6")]


def test_slices_that_begin_in_the_middle_of_a_stream_keep_the_timestamp_of_their_frame() -> None:
    frames = passing()
    frames.extend((b"Q",))
    frames.extend((b"R",))
    assert frames.begin(unit(6_000, b"1")) == [unit(3_000, b"Q", b"R")]
    frames.extend((b"2",))
    assert frames.begin(unit(9_000, b"3")) == [unit(6_000, b"1", b"2")]


def test_a_dropped_frame_is_not_returned_and_not_extended() -> None:
    frames = FrameAssembler()
    frames.begin(unit(0, b"1", is_keyframe=True))
    frames.drop()
    frames.extend((b"2",))
    assert frames.begin(unit(3_000, b"3", is_keyframe=True)) == []


@pytest.mark.parametrize("payload", [b"x", bytes(MAX_FRAME_BYTES // 64)])
def test_a_frame_that_never_ends_is_an_input_fault(payload: bytes) -> None:
    frames = FrameAssembler()
    frames.begin(unit(0, b"1", is_keyframe=True))
    with pytest.raises(InputFaultError, match=f"more than {MAX_FRAME_BYTES} bytes") as caught:
        extend(frames, MAX_FRAME_PAYLOADS * (payload,))
    assert caught.value.fault is IngestFault.INPUT


def extend(frames: FrameAssembler, payloads: tuple[bytes, ...]) -> None:
    """Add each payload as a message of its own."""
    for payload in payloads:
        frames.extend((payload,))

"""Any sequence of frames becomes a recording that follows the rules."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.media.recording.recording_recovery import recover_recording
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.recording.hls_rules import check_recording
from tests.media.recording.recorded_publisher import RecordedPublisher, make_request
from tests.media.recording.tapped_media import opus_packets, second_of_pictures

_VIDEO = TappedFrame(kind=MediaKind.VIDEO, codec=Codec.H264, time_us=0, body=b"", is_keyframe=True)
_AUDIO = TappedFrame(kind=MediaKind.AUDIO, codec=Codec.OPUS, time_us=0, body=b"", is_keyframe=True)


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """A frame, what has passed since the one before, and what the recorder is told before it."""

    kind: str
    step_us: int
    passed_ms: int
    is_new_stream: bool
    action: str


STEPS = st.lists(
    st.builds(
        _Step,
        kind=st.sampled_from(["keyframe", "large keyframe", "picture", "broken keyframe", "sound", "broken sound"]),
        step_us=st.sampled_from([-5_000_000, -20_000, 0, 20_000, 33_333, 400_000, 2_500_000, 9_000_000, 10**12]),
        passed_ms=st.sampled_from([0, 20, 400, 2_500, 9_000]),
        is_new_stream=st.sampled_from([False, False, False, True]),
        action=st.sampled_from(["", "", "", "", "tick", "end part"]),
    ),
    max_size=50,
)


def _frame(step: _Step) -> TappedFrame:
    if step.kind == "sound":
        return msgspec.structs.replace(_AUDIO, body=opus_packets(1, 0.0)[3])
    if step.kind == "broken sound":
        return msgspec.structs.replace(_AUDIO, body=b"\xff\x00\xff")
    if step.kind == "broken keyframe":
        return msgspec.structs.replace(_VIDEO, body=b"\0\0\0\1\x67\x42\0\0\0\1\x65\x88\x84")
    width, height = (320, 192) if step.kind == "large keyframe" else (160, 96)
    is_keyframe = step.kind != "picture"
    body = second_of_pictures(width, height)[0 if is_keyframe else 1]
    return msgspec.structs.replace(_VIDEO, body=body, is_keyframe=is_keyframe)


@settings(max_examples=10, deadline=None)
@given(STEPS, st.sampled_from([True, True, False]))
def test_any_sequence_of_frames_is_recorded_by_the_rules(
    steps: list[_Step],
    has_video: bool,  # noqa: FBT001 - hypothesis passes it
) -> None:
    request = make_request(has_video=has_video, thumbnails=ThumbnailSettings(interval_seconds=10))
    publisher = RecordedPublisher(request)
    time_us = 10_000_000
    for step in steps:
        time_us += step.step_us
        publisher.now_ms += step.passed_ms
        if step.action == "tick":
            publisher.recorder.tick()
        elif step.action == "end part":
            publisher.recorder.end_part()
        frame = _frame(step)
        publisher.recorder.receive(msgspec.structs.replace(frame, time_us=time_us, is_new_stream=step.is_new_stream))
    duration_ms = publisher.recorder.end()
    if not duration_ms:
        return
    recording = check_recording(publisher.objects.bodies)
    assert abs(recording.duration_seconds * 1_000 - duration_ms) <= 1
    # No more than has passed, what may arrive early, and the waits at each start.
    assert duration_ms <= sum(step.passed_ms for step in steps) + len(steps) * 11_100
    recovered = recover_recording(bytes(publisher.journal), ended_ms=0)
    assert recovered is not None
    assert recovered.duration_ms == duration_ms

"""The whole pipeline: from an encoder's messages to units that a viewer can decode."""

from contextlib import suppress
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.media_pipeline import MediaPipeline
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS
from stagebook.media.media_bus import Unit
from stagebook.media.port import IngestFault
from tests.media.ingest import received
from tests.media.ingest.encoded_stream import Message, run_pipeline, stream

VIDEO_FRAMES = 90
"""In the three seconds of `stream()`."""


def shifted(messages: list[Message], *, by_ms: int) -> list[Message]:
    return [
        msgspec.structs.replace(message, timestamp_ms=message.timestamp_ms + by_ms)
        if not message.is_configuration
        else message
        for message in messages
    ]


def only(messages: list[Message], kind: MediaKind) -> list[Message]:
    return [message for message in messages if message.kind is kind]


def video_timestamps(units: list[Unit]) -> list[int]:
    return [unit.timestamp for unit in received.of_kind(units, MediaKind.VIDEO)]


def test_a_complete_stream_arrives_without_loss() -> None:
    pipeline = MediaPipeline()
    units = run_pipeline(pipeline, stream())
    assert pipeline.missing() is None
    assert pipeline.video_parameters is not None
    assert units[0].is_keyframe
    assert [unit.is_keyframe for unit in received.of_kind(units, MediaKind.VIDEO)] == 3 * [True, *29 * [False]]
    decoded = list(received.video_frames(units))
    assert [(frame.width, frame.height) for _, frame in decoded] == VIDEO_FRAMES * [(320, 180)]
    audio = received.of_kind(units, MediaKind.AUDIO)
    assert len(audio) * 20 == pytest.approx(3_000, abs=60)
    assert {after.timestamp - before.timestamp for before, after in pairwise(audio)} == {960}


def test_a_keyframe_begins_with_its_parameter_sets() -> None:
    for unit in run_pipeline(MediaPipeline(), stream()):
        if unit.kind is MediaKind.VIDEO:
            expected = [7, 8, 5] if unit.is_keyframe else [1]
            assert list(dict.fromkeys(kind for kind in received.nal_types(unit) if kind != 6)) == expected
            assert received.nal_types(unit).count(7) == unit.is_keyframe


@pytest.mark.parametrize("start_ms", [0, 1 << 24, 1 << 32])
def test_a_stream_may_start_at_any_time(start_ms: int) -> None:
    original, moved = (
        run_pipeline(MediaPipeline(), stream()),
        run_pipeline(MediaPipeline(), shifted(stream(), by_ms=start_ms)),
    )
    assert [
        after - before for before, after in zip(video_timestamps(original), video_timestamps(moved), strict=True)
    ] == [start_ms * 90] * VIDEO_FRAMES


def test_video_timestamps_are_presentation_times() -> None:
    units = run_pipeline(MediaPipeline(), stream(b_frames=2))
    timestamps = video_timestamps(units)
    assert timestamps != sorted(timestamps)
    shown = [ticks for ticks, _ in received.video_frames(units)]
    assert shown == sorted(timestamps)
    assert all(abs(after - before - 3_000) <= 90 for before, after in pairwise(shown))


def test_enhanced_rtmp_gives_the_same_units() -> None:
    def enhanced(message: Message) -> Message:
        payload = message.payload
        if message.kind is MediaKind.VIDEO:
            frame_type = payload[0] & 0x70
            body = payload[2:] if payload[1] == 1 else payload[5:]
            header = bytes([0x80 | frame_type | payload[1]]) + b"avc1"
        else:
            body, header = payload[2:], bytes([0x90 | payload[1]]) + b"mp4a"
        return msgspec.structs.replace(message, payload=header + body)

    assert run_pipeline(MediaPipeline(), [enhanced(message) for message in stream()]) == run_pipeline(
        MediaPipeline(), stream()
    )


def test_a_change_of_the_resolution_takes_effect() -> None:
    large = shifted(stream(width=640, height=360), by_ms=3_000)
    pipeline = MediaPipeline()
    sizes = [
        (frame.width, frame.height) for _, frame in received.video_frames(run_pipeline(pipeline, [*stream(), *large]))
    ]
    assert sizes == VIDEO_FRAMES * [(320, 180)] + VIDEO_FRAMES * [(640, 360)]


def test_video_is_buffered_until_audio_comes() -> None:
    # One and a half seconds of video, the second keyframe after one second. Then audio starts.
    pipeline = MediaPipeline()
    late = [message for message in stream() if message.kind is MediaKind.VIDEO or message.timestamp_ms > 1_500]
    early = [message for message in late if message.timestamp_ms < 1_500]
    assert run_pipeline(pipeline, early) == []
    assert pipeline.missing() == "the stream has no audio"
    configuration = next(message for message in stream() if message.kind is MediaKind.AUDIO)
    units = run_pipeline(pipeline, [configuration, *late[len(early) :]])
    assert units[0].is_keyframe
    assert units[0].timestamp == pytest.approx(90 * 1_021, abs=180)
    assert len(list(received.video_frames(units))) == 60


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(MediaKind.VIDEO, "the stream has no audio"), (MediaKind.AUDIO, "the stream has no video")],
)
def test_the_missing_track_is_named(kind: MediaKind, missing: str) -> None:
    pipeline = MediaPipeline()
    assert pipeline.missing() == "the stream has neither audio nor video"
    assert run_pipeline(pipeline, only(stream(), kind)) == []
    assert pipeline.missing() == missing


def test_a_stream_that_starts_between_keyframes_waits_for_the_next_one() -> None:
    configurations = [message for message in stream() if message.is_configuration]
    joined = [message for message in stream() if message.timestamp_ms > 500]
    units = run_pipeline(MediaPipeline(), [*configurations, *joined])
    assert units[0].is_keyframe
    assert len(list(received.video_frames(units))) == 60


def test_a_track_that_continues_alone_is_an_input_fault() -> None:
    pipeline = MediaPipeline()
    run_pipeline(pipeline, stream())
    parts = [shifted(only(stream(), MediaKind.VIDEO), by_ms=3_000 * number) for number in range(1, 5)]
    with pytest.raises(InputFaultError, match=r"audio and video are \d+ ms apart") as caught:
        run_pipeline(pipeline, [message for part in parts for message in part])
    assert caught.value.fault is IngestFault.INPUT


@pytest.mark.parametrize("by_ms", [0, 5_000 + MAX_STEP_MS], ids=["back", "forward"])
def test_a_jump_of_the_timestamps_is_an_input_fault(by_ms: int) -> None:
    with pytest.raises(InputFaultError, match="the timestamps of the"):
        run_pipeline(MediaPipeline(), [*stream(), *shifted(stream(), by_ms=by_ms)])


def test_a_large_composition_time_is_an_input_fault() -> None:
    pipeline = MediaPipeline()
    run_pipeline(pipeline, stream())
    with pytest.raises(InputFaultError, match="10001 ms after it is decoded"):
        pipeline.process_video(timestamp_ms=3_000, payload=b"\x27\x01" + (MAX_STEP_MS + 1).to_bytes(3) + bytes(9))


@pytest.mark.parametrize(
    ("kind", "payload", "fault"),
    [
        (MediaKind.VIDEO, b"\x1c\x00\x00\x00\x00", IngestFault.VIDEO_CODEC),
        (MediaKind.VIDEO, b"\x90av01", IngestFault.VIDEO_CODEC),
        (MediaKind.AUDIO, b"\x2f\xff\xfb", IngestFault.AUDIO_CODEC),
        (MediaKind.AUDIO, b"\xaf\x00\x2b\x92\x08\x00", IngestFault.AUDIO_CODEC),
        (MediaKind.VIDEO, b"\x17\x01\x00\x00\x00\xff\xff\xff\xff", IngestFault.INPUT),
    ],
)
def test_the_fault_of_each_parser_is_raised(kind: MediaKind, payload: bytes, fault: IngestFault) -> None:
    pipeline = MediaPipeline()
    run_pipeline(pipeline, stream())
    with pytest.raises(InputFaultError) as caught:
        run_pipeline(pipeline, [Message(kind=kind, timestamp_ms=3_000, payload=payload)])
    assert caught.value.fault is fault


HEADERS = [b"", b"\x17\x00\0\0\0", b"\x17\x01\0\0\0", b"\x90avc1", b"\x91avc1", b"\xaf\x00", b"\xaf\x01", b"\x91mp4a"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 1 << 40), st.sampled_from(HEADERS), st.binary(max_size=60)), max_size=12
    ),
    st.sampled_from([0, 60]),
)
def test_random_messages_are_processed_or_refused(messages: list[tuple[bool, int, bytes, bytes]], after: int) -> None:
    pipeline = MediaPipeline()
    run_pipeline(pipeline, stream()[:after])
    with suppress(InputFaultError):
        for is_video, timestamp_ms, header, body in messages:
            process = pipeline.process_video if is_video else pipeline.process_audio
            for unit in process(timestamp_ms=timestamp_ms, payload=header + body):
                assert unit.timestamp >= 0
                assert unit.payloads


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_stream_with_changed_bytes_is_processed_or_refused(errors: list[tuple[int, int, int]]) -> None:
    messages = stream()[:100]
    for number, position, value in errors:
        payload = bytearray(messages[number % len(messages)].payload)
        payload[position % len(payload)] = value
        messages[number % len(messages)] = msgspec.structs.replace(
            messages[number % len(messages)], payload=bytes(payload)
        )
    with suppress(InputFaultError):
        for unit in run_pipeline(MediaPipeline(), messages):
            assert all(unit.payloads)

"""A whole stream: from an encoder's messages to units that a viewer can decode."""

from contextlib import suppress
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.media_pipeline import Pipeline
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS
from stagebook.media.media_bus import Unit
from stagebook.media.port import IngestFault
from tests.media.ingest import received
from tests.media.ingest.encoded_stream import Message, run, stream

PICTURES = 90
"""In three seconds."""


def _moved(messages: list[Message], *, by_ms: int) -> list[Message]:
    return [
        msgspec.structs.replace(message, timestamp_ms=message.timestamp_ms + by_ms)
        if not message.is_configuration
        else message
        for message in messages
    ]


def _only(messages: list[Message], kind: MediaKind) -> list[Message]:
    return [message for message in messages if message.kind is kind]


def _video_times(units: list[Unit]) -> list[int]:
    return [unit.timestamp for unit in received.of_kind(units, MediaKind.VIDEO)]


def test_a_stream_arrives_whole() -> None:
    pipeline = Pipeline()
    units = run(pipeline, stream())
    assert pipeline.missing() is None
    assert pipeline.video_parameters is not None
    assert units[0].is_keyframe
    assert [unit.is_keyframe for unit in received.of_kind(units, MediaKind.VIDEO)] == 3 * [True, *29 * [False]]
    shown = list(received.pictures(units))
    assert [(frame.width, frame.height) for _, frame in shown] == PICTURES * [(320, 180)]
    sound = received.of_kind(units, MediaKind.AUDIO)
    assert len(sound) * 20 == pytest.approx(3_000, abs=60)
    assert {after.timestamp - before.timestamp for before, after in pairwise(sound)} == {960}


def test_a_keyframe_begins_with_its_parameter_sets() -> None:
    for unit in run(Pipeline(), stream()):
        if unit.kind is MediaKind.VIDEO:
            expected = [7, 8, 5] if unit.is_keyframe else [1]
            assert list(dict.fromkeys(kind for kind in received.types(unit) if kind != 6)) == expected
            assert received.types(unit).count(7) == unit.is_keyframe


@pytest.mark.parametrize("start_ms", [0, 1 << 24, 1 << 32])
def test_a_stream_may_start_anywhere(start_ms: int) -> None:
    plain, moved = run(Pipeline(), stream()), run(Pipeline(), _moved(stream(), by_ms=start_ms))
    assert [after - before for before, after in zip(_video_times(plain), _video_times(moved), strict=True)] == [
        start_ms * 90
    ] * PICTURES


def test_pictures_are_timed_by_when_they_are_shown() -> None:
    units = run(Pipeline(), stream(b_frames=2))
    times = _video_times(units)
    assert times != sorted(times)
    shown = [ticks for ticks, _ in received.pictures(units)]
    assert shown == sorted(times)
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

    assert run(Pipeline(), [enhanced(message) for message in stream()]) == run(Pipeline(), stream())


def test_a_change_of_the_picture_size_takes_effect() -> None:
    large = _moved(stream(width=640, height=360), by_ms=3_000)
    pipeline = Pipeline()
    sizes = [(frame.width, frame.height) for _, frame in received.pictures(run(pipeline, [*stream(), *large]))]
    assert sizes == PICTURES * [(320, 180)] + PICTURES * [(640, 360)]


def test_video_that_comes_before_the_audio_is_known_is_held() -> None:
    # A second and a half of video, with its second keyframe in the middle; then audio begins.
    pipeline = Pipeline()
    late = [message for message in stream() if message.kind is MediaKind.VIDEO or message.timestamp_ms > 1_500]
    early = [message for message in late if message.timestamp_ms < 1_500]
    assert run(pipeline, early) == []
    assert pipeline.missing() == "the stream has no audio"
    configuration = next(message for message in stream() if message.kind is MediaKind.AUDIO)
    units = run(pipeline, [configuration, *late[len(early) :]])
    assert units[0].is_keyframe
    assert units[0].timestamp == pytest.approx(90 * 1_021, abs=180)
    assert len(list(received.pictures(units))) == 60


@pytest.mark.parametrize(
    ("kind", "words"),
    [(MediaKind.VIDEO, "the stream has no audio"), (MediaKind.AUDIO, "the stream has no video")],
)
def test_what_is_missing_is_told(kind: MediaKind, words: str) -> None:
    pipeline = Pipeline()
    assert pipeline.missing() == "the stream has neither audio nor video"
    assert run(pipeline, _only(stream(), kind)) == []
    assert pipeline.missing() == words


def test_a_stream_that_begins_between_keyframes_waits_for_the_next() -> None:
    configurations = [message for message in stream() if message.is_configuration]
    joined = [message for message in stream() if message.timestamp_ms > 500]
    units = run(Pipeline(), [*configurations, *joined])
    assert units[0].is_keyframe
    assert len(list(received.pictures(units))) == 60


def test_one_track_that_goes_on_alone_is_bad_input() -> None:
    pipeline = Pipeline()
    run(pipeline, stream())
    alone = [_moved(_only(stream(), MediaKind.VIDEO), by_ms=3_000 * number) for number in range(1, 5)]
    with pytest.raises(InputFaultError, match=r"audio and video are \d+ ms apart") as caught:
        run(pipeline, [message for part in alone for message in part])
    assert caught.value.fault is IngestFault.INPUT


@pytest.mark.parametrize("by_ms", [0, 5_000 + MAX_STEP_MS], ids=["back", "forward"])
def test_a_jump_of_the_clock_is_bad_input(by_ms: int) -> None:
    with pytest.raises(InputFaultError, match="the timestamps of the"):
        run(Pipeline(), [*stream(), *_moved(stream(), by_ms=by_ms)])


def test_a_picture_that_is_shown_far_from_its_time_is_bad_input() -> None:
    pipeline = Pipeline()
    run(pipeline, stream())
    with pytest.raises(InputFaultError, match="10001 ms after it is decoded"):
        pipeline.video(timestamp_ms=3_000, payload=b"\x27\x01" + (MAX_STEP_MS + 1).to_bytes(3) + bytes(9))


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
def test_the_fault_of_any_message_comes_through(kind: MediaKind, payload: bytes, fault: IngestFault) -> None:
    pipeline = Pipeline()
    run(pipeline, stream())
    with pytest.raises(InputFaultError) as caught:
        run(pipeline, [Message(kind=kind, timestamp_ms=3_000, payload=payload)])
    assert caught.value.fault is fault


HEADS = [b"", b"\x17\x00\0\0\0", b"\x17\x01\0\0\0", b"\x90avc1", b"\x91avc1", b"\xaf\x00", b"\xaf\x01", b"\x91mp4a"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 1 << 40), st.sampled_from(HEADS), st.binary(max_size=60)), max_size=12
    ),
    st.sampled_from([0, 60]),
)
def test_noise_is_taken_or_refused(noise: list[tuple[bool, int, bytes, bytes]], after: int) -> None:
    pipeline = Pipeline()
    run(pipeline, stream()[:after])
    with suppress(InputFaultError):
        for is_video, timestamp_ms, head, body in noise:
            take = pipeline.video if is_video else pipeline.audio
            for unit in take(timestamp_ms=timestamp_ms, payload=head + body):
                assert unit.timestamp >= 0
                assert unit.payloads


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_stream_with_wrong_bytes_is_taken_or_refused(errors: list[tuple[int, int, int]]) -> None:
    messages = stream()[:100]
    for number, position, value in errors:
        payload = bytearray(messages[number % len(messages)].payload)
        payload[position % len(payload)] = value
        messages[number % len(messages)] = msgspec.structs.replace(
            messages[number % len(messages)], payload=bytes(payload)
        )
    with suppress(InputFaultError):
        for unit in run(Pipeline(), messages):
            assert all(unit.payloads)

"""The whole pipeline: from an encoder's messages to units that a viewer can decode."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stagebook.log_rate_limit import MAX_LINES
from stagebook.media.codecs.avc import split_nal_units
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.audio_track import MAX_FRAME_BYTES
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


def with_slices_in_separate_messages(messages: list[Message]) -> list[Message]:
    """Send each NAL unit of a video frame in a message of its own, as some hardware encoders do."""
    return [
        msgspec.structs.replace(message, payload=message.payload[:5] + len(unit).to_bytes(4) + unit)
        if unit
        else message
        for message in messages
        for unit in (nal_units_of(message) or [b""])
    ]


def nal_units_of(message: Message) -> list[bytes]:
    """The NAL units of a message with a video frame; none of other messages."""
    if message.kind is not MediaKind.VIDEO or message.is_configuration:
        return []
    return [bytes(unit) for unit in split_nal_units(memoryview(message.payload)[5:], length_size_bytes=4)]


def as_byte_stream(messages: list[Message]) -> list[Message]:
    """Send video frames with start codes."""
    return [
        msgspec.structs.replace(message, payload=message.payload[:5] + b"".join(b"\0\0\0\1" + unit for unit in units))
        if (units := nal_units_of(message))
        else message
        for message in messages
    ]


@pytest.mark.parametrize("slices", [1, 4])
def test_a_frame_in_several_messages_is_one_unit(slices: int) -> None:
    whole = stream(slices=slices)
    parts = with_slices_in_separate_messages(whole)
    # The first keyframe also has SEI, and the muxer ends the stream with a message without a frame.
    assert len(only(parts, MediaKind.VIDEO)) >= 1 + VIDEO_FRAMES * slices
    # The last frame is complete when another one begins.
    end = shifted(only(parts, MediaKind.VIDEO)[1 : 2 + slices], by_ms=3_000)
    received_units = run_pipeline(MediaPipeline(), [*parts, *end])
    assert video_timestamps(received_units)[:VIDEO_FRAMES] == video_timestamps(run_pipeline(MediaPipeline(), whole))
    frames = [frame for _, frame in received.video_frames(received_units)][:VIDEO_FRAMES]
    expected = [frame for _, frame in received.video_frames(run_pipeline(MediaPipeline(), whole))]
    assert [bytes(frame.planes[0]) for frame in frames] == [bytes(frame.planes[0]) for frame in expected]


def test_a_stream_of_one_message_per_frame_is_not_delayed() -> None:
    pipeline = MediaPipeline()
    returned = [bool(run_pipeline(pipeline, [message])) for message in only(stream(), MediaKind.AUDIO)[:20]]
    assert not any(returned)
    returned = [bool(run_pipeline(pipeline, [message])) for message in only(stream(), MediaKind.VIDEO)[:20]]
    assert returned == [False, False, *18 * [True]], "the configuration, the first keyframe, and the frames after it"


def test_a_byte_stream_gives_the_same_units() -> None:
    assert run_pipeline(MediaPipeline(), as_byte_stream(stream())) == run_pipeline(MediaPipeline(), stream())


def test_zero_bytes_behind_a_frame_are_not_damage() -> None:
    padded = [
        msgspec.structs.replace(message, payload=message.payload + bytes(number % 9))
        if nal_units_of(message)
        else message
        for number, message in enumerate(stream())
    ]
    pipeline = MediaPipeline()
    assert run_pipeline(pipeline, padded) == run_pipeline(MediaPipeline(), stream())
    assert pipeline.damage.damaged_video_messages == 0


@pytest.mark.parametrize(
    "damaged",
    [
        lambda payload: payload[:-1],
        lambda payload: payload[:5] + b"\x7f\xff\xff\xff" + payload[9:],
        lambda payload: payload[:9] + b"\xff" + payload[10:],
        lambda payload: payload[:3],
        lambda payload: b"\x27\x09" + payload[2:],
        lambda payload: b"\x27\x01" + (MAX_STEP_MS + 1).to_bytes(3) + payload[5:],
        lambda payload: b"\x27\x00" + payload[2:],
    ],
    ids=["truncated", "length", "forbidden bit", "header", "packet type", "composition time", "configuration"],
)
def test_one_damaged_frame_costs_the_frames_until_the_next_keyframe(damaged: Callable[[bytes], bytes]) -> None:
    messages = stream()
    video = only(messages, MediaKind.VIDEO)
    changed = messages.index(video[41])
    messages = [
        msgspec.structs.replace(message, payload=damaged(message.payload)) if number == changed else message
        for number, message in enumerate(messages)
    ]
    pipeline = MediaPipeline()
    with capture_logs() as lines:
        units = run_pipeline(pipeline, messages)
    # The frame with index 40 is damaged; the next keyframe has index 60.
    whole = run_pipeline(MediaPipeline(), stream())
    timestamps = video_timestamps(whole)
    assert video_timestamps(units) == timestamps[:40] + timestamps[60:]
    assert received.of_kind(units, MediaKind.AUDIO) == received.of_kind(whole, MediaKind.AUDIO)
    assert pipeline.damage.damaged_video_messages == 1
    assert [line["event"] for line in lines] == ["encoder's video is damaged; dropped until the next keyframe"]


def test_damage_that_does_not_end_is_an_input_fault() -> None:
    truncated = [
        msgspec.structs.replace(message, payload=message.payload[:-1]) if nal_units_of(message) else message
        for message in stream()
    ]
    with capture_logs() as lines, pytest.raises(InputFaultError, match="video messages are malformed") as caught:
        run_pipeline(MediaPipeline(), truncated)
    assert caught.value.fault is IngestFault.INPUT
    assert len(lines) == MAX_LINES, "the lines about damage are limited"


def test_a_stream_whose_keyframes_are_all_damaged_is_an_input_fault() -> None:
    pipeline = MediaPipeline()
    run_pipeline(pipeline, stream())
    damaged = [
        msgspec.structs.replace(message, payload=message.payload[:-1]) if message.payload[0] == 0x17 else message
        for message in stream()
        if nal_units_of(message)
    ]
    parts = [shifted(damaged, by_ms=3_000 * number) for number in range(1, 20)]
    with pytest.raises(InputFaultError, match="no keyframe came in 900 frames"):
        run_pipeline(pipeline, [message for part in parts for message in part])
    assert pipeline.damage.damaged_video_messages == pytest.approx(900 / 29, abs=1)


def test_one_damaged_audio_message_is_dropped() -> None:
    messages = stream()
    audio = only(messages, MediaKind.AUDIO)
    bodies = {messages.index(audio[20]): b"\xaf", messages.index(audio[40]): b"\xaf\x01" + bytes(MAX_FRAME_BYTES + 1)}
    pipeline = MediaPipeline()
    units = run_pipeline(
        pipeline,
        [
            msgspec.structs.replace(message, payload=bodies.get(number, message.payload))
            for number, message in enumerate(messages)
        ],
    )
    # After each gap of 21 ms the resampler begins anew, which costs up to two packets.
    assert len(received.of_kind(units, MediaKind.AUDIO)) * 20 == pytest.approx(3_000, abs=150)
    assert pipeline.damage.damaged_audio_frames == 2


@pytest.mark.parametrize("kind", list(MediaKind))
def test_a_track_that_pauses_for_12_seconds_comes_back_in_sync(kind: MediaKind) -> None:
    other = MediaKind.AUDIO if kind is MediaKind.VIDEO else MediaKind.VIDEO
    pipeline = MediaPipeline()
    units = run_pipeline(pipeline, stream())
    for number in range(1, 5):
        units += run_pipeline(pipeline, shifted(only(stream(), other), by_ms=3_000 * number))
    units += run_pipeline(pipeline, shifted(stream(), by_ms=15_000))
    assert pipeline.damage.clock_jumps == 0
    for ticks_per_ms, track in ((90, MediaKind.VIDEO), (48, MediaKind.AUDIO)):
        last_ms = received.of_kind(units, track)[-1].timestamp / ticks_per_ms
        assert last_ms == pytest.approx(18_000, abs=70)
    pause_ms = max(
        (after.timestamp - before.timestamp) / (90 if kind is MediaKind.VIDEO else 48)
        for before, after in pairwise(received.of_kind(units, kind))
    )
    assert pause_ms == pytest.approx(12_000, abs=70)


@pytest.mark.parametrize("by_ms", [0, 5_000 + MAX_STEP_MS, 3_600_000], ids=["back", "forward", "an hour"])
def test_after_a_jump_of_both_clocks_the_stream_goes_on_in_sync(by_ms: int) -> None:
    pipeline = MediaPipeline()
    with capture_logs() as lines:
        units = run_pipeline(pipeline, [*stream(), *shifted(stream(), by_ms=by_ms)])
    assert pipeline.damage.clock_jumps == 1
    assert [line["event"] for line in lines] == ["encoder's clock jumped; its timestamps are re-based"]
    video = received.of_kind(units, MediaKind.VIDEO)
    assert len(video) == 2 * VIDEO_FRAMES
    assert max(after.timestamp - before.timestamp for before, after in pairwise(video)) <= 90 * 70
    audio = received.of_kind(units, MediaKind.AUDIO)
    assert len(audio) * 20 == pytest.approx(6_000, abs=110)
    assert audio[-1].timestamp / 48 - video[-1].timestamp / 90 == pytest.approx(
        (stream_end_ms(MediaKind.AUDIO) - stream_end_ms(MediaKind.VIDEO)), abs=25
    )


def stream_end_ms(kind: MediaKind) -> float:
    """The timestamp of the last unit of `stream()`."""
    last = received.of_kind(run_pipeline(MediaPipeline(), stream()), kind)[-1]
    return last.timestamp / (90 if kind is MediaKind.VIDEO else 48)


def as_adts(messages: list[Message]) -> list[Message]:
    """Send audio with ADTS headers and without a configuration."""
    changed: list[Message] = []
    for message in messages:
        if message.kind is MediaKind.VIDEO:
            changed.append(message)
        elif not message.is_configuration:
            body = message.payload[2:]
            # AAC-LC, 48 kHz, two channels, without CRC.
            header = b"\xff\xf1\x4c" + (2 << 30 | (len(body) + 7) << 13 | 0x7FF << 2).to_bytes(4)
            changed.append(msgspec.structs.replace(message, payload=b"\xaf\x01" + header + body))
    return changed


def test_audio_with_adts_needs_no_configuration() -> None:
    assert run_pipeline(MediaPipeline(), as_adts(stream())) == run_pipeline(MediaPipeline(), stream())


def test_adts_headers_are_removed_after_a_configuration() -> None:
    configuration = only(stream(), MediaKind.AUDIO)[0]
    assert run_pipeline(MediaPipeline(), [configuration, *as_adts(stream())]) == run_pipeline(MediaPipeline(), stream())


def test_an_empty_audio_configuration_is_ignored() -> None:
    empty = Message(kind=MediaKind.AUDIO, timestamp_ms=0, payload=b"\xaf\x00")
    assert run_pipeline(MediaPipeline(), [empty, *as_adts(stream())]) == run_pipeline(MediaPipeline(), stream())


def test_an_adts_frame_in_place_of_the_configuration_is_a_frame() -> None:
    messages = as_adts(stream())
    first = messages.index(only(messages, MediaKind.AUDIO)[0])
    payload = b"\xaf\x00" + messages[first].payload[2:]
    messages[first] = msgspec.structs.replace(messages[first], payload=payload)
    assert run_pipeline(MediaPipeline(), messages) == run_pipeline(MediaPipeline(), stream())


def test_several_adts_frames_in_one_message_follow_each_other() -> None:
    messages = as_adts(stream())
    audio = only(messages, MediaKind.AUDIO)
    joined = [
        msgspec.structs.replace(one, payload=one.payload + other.payload[2:])
        for one, other in zip(audio[::2], audio[1::2], strict=False)
    ]
    units = run_pipeline(MediaPipeline(), [*only(messages, MediaKind.VIDEO), *joined])
    packets = received.of_kind(units, MediaKind.AUDIO)
    assert len(packets) * 20 == pytest.approx(3_000, abs=60)
    assert {after.timestamp - before.timestamp for before, after in pairwise(packets)} == {960}


def test_frames_without_a_configuration_are_named_as_missing() -> None:
    pipeline = MediaPipeline()
    frames = [message for message in stream() if not message.is_configuration]
    assert run_pipeline(pipeline, only(frames, MediaKind.VIDEO)) == []
    assert pipeline.missing() == "video frames arrive but no AVCDecoderConfigurationRecord"
    assert run_pipeline(pipeline, [only(stream(), MediaKind.VIDEO)[0], *frames]) == []
    assert pipeline.missing() == "audio frames arrive but no AudioSpecificConfig"
    assert run_pipeline(pipeline, stream())
    assert pipeline.missing() is None


@pytest.mark.parametrize(
    ("kind", "payload", "fault"),
    [
        (MediaKind.VIDEO, b"\x1c\x00\x00\x00\x00", IngestFault.VIDEO_CODEC),
        (MediaKind.VIDEO, b"\x90av01", IngestFault.VIDEO_CODEC),
        (MediaKind.AUDIO, b"\x2f\xff\xfb", IngestFault.AUDIO_CODEC),
        (MediaKind.AUDIO, b"\xaf\x00\x2b\x92\x08\x00", IngestFault.AUDIO_CODEC),
    ],
)
def test_the_fault_of_each_parser_is_raised(kind: MediaKind, payload: bytes, fault: IngestFault) -> None:
    pipeline = MediaPipeline()
    run_pipeline(pipeline, stream())
    with pytest.raises(InputFaultError) as caught:
        run_pipeline(pipeline, [Message(kind=kind, timestamp_ms=3_000, payload=payload)])
    assert caught.value.fault is fault


def test_a_configuration_that_cannot_be_read_is_an_input_fault_if_there_is_no_other() -> None:
    with pytest.raises(InputFaultError, match="configuration is truncated") as caught:
        MediaPipeline().process_video(timestamp_ms=0, payload=b"\x17\x00\x00\x00\x00\xff\xff")
    assert caught.value.fault is IngestFault.INPUT


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

"""Multitrack streams as FFmpeg's muxer writes them: which tracks become units, and what a fault in one does."""

import msgspec
import pytest
from structlog.testing import capture_logs

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.flv.video_tag import FurtherTag, read_further_tags
from stagebook.media.ingest.pipeline.further_tracks import MAX_FURTHER_TRACKS
from stagebook.media.ingest.pipeline.media_pipeline import MediaPipeline
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS
from stagebook.media.media_bus import Unit
from tests.media.ingest import received
from tests.media.ingest.encoded_stream import FurtherVideo, Message, run_pipeline, stream

LOW = FurtherVideo(width=160, height=96)
LOWER = FurtherVideo(width=80, height=48)
FRAMES = 90


def of_track(units: list[Unit], track: int) -> list[Unit]:
    return [unit for unit in units if unit.kind is MediaKind.VIDEO and unit.track == track]


def sizes(units: list[Unit], track: int) -> list[tuple[int, int]]:
    """The sizes of the frames that a decoder gets of one track."""
    return [(frame.width, frame.height) for _, frame in received.video_frames(of_track(units, track))]


def further_tag(message: Message) -> FurtherTag | None:
    tags = read_further_tags(message.payload) if message.kind is MediaKind.VIDEO else []
    return tags[0] if tags else None


def frames_of(messages: list[Message], track_id: int) -> list[int]:
    """The indexes of the messages with frames of a further track."""
    found = [further_tag(message) for message in messages]
    # The first one has the configuration.
    return [index for index, further in enumerate(found) if further is not None and further.track_id == track_id][1:]


def test_each_track_becomes_frames_on_the_same_clock() -> None:
    pipeline = MediaPipeline()
    units = run_pipeline(pipeline, stream(further=(LOW, LOWER)))
    assert pipeline.video_tracks == 3
    assert [sizes(units, track) for track in range(3)] == [
        FRAMES * [(320, 180)],
        FRAMES * [(160, 96)],
        FRAMES * [(80, 48)],
    ]
    clocks = [[unit.timestamp for unit in of_track(units, track)] for track in range(3)]
    assert clocks[0] == clocks[1] == clocks[2]
    assert units[0].is_keyframe
    assert units[0].track == 0


def test_track_0_and_the_audio_are_those_of_a_stream_without_further_tracks() -> None:
    units = run_pipeline(MediaPipeline(), stream(further=(LOW,)))
    assert [unit for unit in units if unit.track == 0] == run_pipeline(MediaPipeline(), stream())


def test_a_damaged_frame_drops_the_track_until_its_next_keyframe() -> None:
    messages = list(stream(further=(LOW, LOWER)))
    damaged = frames_of(messages, 1)[10]
    messages[damaged] = msgspec.structs.replace(messages[damaged], payload=messages[damaged].payload[:-1])
    pipeline = MediaPipeline()
    units = run_pipeline(pipeline, messages)
    assert [len(sizes(units, track)) for track in range(3)] == [FRAMES, FRAMES - 20, FRAMES]
    assert pipeline.damage.log_fields() == {}


def test_damage_that_does_not_end_leaves_the_rest_of_the_stream() -> None:
    messages = list(stream(further=(LOW,)))
    for index in frames_of(messages, 1):
        messages[index] = msgspec.structs.replace(messages[index], payload=messages[index].payload[:-1])
    units = run_pipeline(MediaPipeline(), messages)
    assert [len(of_track(units, track)) for track in range(2)] == [FRAMES, 0]


def test_a_frame_that_is_not_on_the_clock_of_track_0_is_dropped() -> None:
    messages = list(stream(further=(LOW,)))
    moved = frames_of(messages, 1)[10]
    late_ms = messages[moved].timestamp_ms + MAX_STEP_MS + 1_000
    messages[moved] = msgspec.structs.replace(messages[moved], timestamp_ms=late_ms)
    units = run_pipeline(MediaPipeline(), messages)
    assert [len(sizes(units, track)) for track in range(2)] == [FRAMES, FRAMES - 20]


def test_further_tracks_follow_the_clock_of_track_0_when_it_jumps() -> None:
    messages = stream(further=(LOW,))
    jumped = [
        message
        if message.timestamp_ms < 1_000
        else msgspec.structs.replace(message, timestamp_ms=message.timestamp_ms + 60_000)
        for message in messages
    ]
    units = run_pipeline(MediaPipeline(clock=lambda: 0.0), jumped)
    clocks = [[unit.timestamp for unit in of_track(units, track)] for track in range(2)]
    assert clocks[0] == clocks[1]
    assert len(clocks[0]) == FRAMES


@pytest.mark.parametrize(
    ("further", "detail"),
    [
        (FurtherVideo(width=160, height=96, encoder="libx265"), "the video is HEVC; it must be H.264"),
        (FurtherVideo(width=160, height=96, b_frames=2), "it has B-frames"),
    ],
)
def test_a_track_that_viewers_cannot_be_sent_is_ignored_with_one_line(further: FurtherVideo, detail: str) -> None:
    with capture_logs() as logs:
        units = run_pipeline(MediaPipeline(), stream(further=(further, LOWER)))
    assert [line["detail"] for line in logs] == [detail]
    assert logs[0]["track_id"] == 1
    assert len(of_track(units, 0)) == FRAMES
    lower = next(unit.track for unit in units if unit.track and len(of_track(units, unit.track)) == FRAMES)
    assert sizes(units, lower) == FRAMES * [(80, 48)]


def test_tracks_above_the_limit_are_ignored() -> None:
    messages = stream(seconds=1, further=(LOWER,) * (MAX_FURTHER_TRACKS + 2))
    pipeline = MediaPipeline()
    with capture_logs() as logs:
        units = run_pipeline(pipeline, messages)
    assert pipeline.video_tracks == 1 + MAX_FURTHER_TRACKS
    assert {unit.track for unit in units} == set(range(1 + MAX_FURTHER_TRACKS))
    assert [line["track_id"] for line in logs] == [MAX_FURTHER_TRACKS + 1, MAX_FURTHER_TRACKS + 2]


def test_a_track_that_begins_after_the_stream_is_ignored() -> None:
    messages = list(stream(further=(LOW,)))
    configuration = next(index for index, message in enumerate(messages) if further_tag(message) is not None)
    late = messages.pop(configuration)
    later = frames_of([late, *messages], 1)[5]
    pipeline = MediaPipeline()
    with capture_logs() as logs:
        units = run_pipeline(pipeline, [*messages[:later], late, *messages[later:]])
    assert pipeline.video_tracks == 1
    assert of_track(units, 1) == []
    assert [line["detail"] for line in logs] == ["its configuration came after the stream had started"]


def test_a_keyframe_of_a_further_track_does_not_start_a_stream() -> None:
    # Track 0 comes late: the stream starts with its second keyframe, after one second.
    messages = stream(further=(LOW,))
    late = [
        message
        for message in messages
        if message.kind is MediaKind.AUDIO
        or message.is_configuration
        or further_tag(message) is not None
        or message.timestamp_ms > 500
    ]
    units = run_pipeline(MediaPipeline(), late)
    assert units[0].track == 0
    assert units[0].is_keyframe
    assert len(sizes(units, 0)) == FRAMES - 30

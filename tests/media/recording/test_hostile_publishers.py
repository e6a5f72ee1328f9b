"""What publishers send costs a bounded number of streams, objects and bytes; honest changes are discontinuities."""

from collections.abc import Callable, Iterator
from random import Random

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.media.recording.recording_timeline import MAX_LEAD_US, MAX_SKEW_US
from stagebook.media.recording.stream_rate_limit import MAX_STREAMS, STREAM_INTERVAL_SECONDS
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.recording.hls_rules import FOLDER, check_recording
from tests.media.recording.recorded_publisher import START_MS, RecordedPublisher, make_request
from tests.media.recording.tapped_media import interleaved, pictures, second_of_pictures, sounds

SECONDS = 12
SEGMENT_SECONDS = 2
SOUND_BYTES_PER_SECOND = 20_000
"""AAC of 128 kbit/s, with its share of the boxes."""
_SIZES = ((160, 96), (320, 192))

Change = Callable[[Random, TappedFrame], TappedFrame]


def _shifted(frame: TappedFrame, by_us: int) -> TappedFrame:
    return msgspec.structs.replace(frame, time_us=frame.time_us + by_us)


def _random_time(random: Random, frame: TappedFrame) -> TappedFrame:
    return msgspec.structs.replace(frame, time_us=random.randrange(10**12))


def _jumping_together(random: Random, frame: TappedFrame) -> TappedFrame:  # noqa: ARG001 - a Change
    return _shifted(frame, frame.time_us // 100_000 % 2 * 3_600_000_000)


def _growing_lag(random: Random, frame: TappedFrame) -> TappedFrame:  # noqa: ARG001 - a Change
    return _shifted(frame, -frame.time_us // 2 if frame.kind is MediaKind.VIDEO else 0)


def _lag_of_seconds(random: Random, frame: TappedFrame) -> TappedFrame:  # noqa: ARG001 - a Change
    is_late = frame.kind is MediaKind.VIDEO and frame.time_us > 2_000_000
    return _shifted(frame, -5_000_000 if is_late else 0)


def _swinging_lag(random: Random, frame: TappedFrame) -> TappedFrame:
    return _shifted(frame, -random.choice((0, 3_000_000, 6_000_000)) if frame.kind is MediaKind.VIDEO else 0)


def _slow_sound(random: Random, frame: TappedFrame) -> TappedFrame:  # noqa: ARG001 - a Change
    return _shifted(frame, -frame.time_us * 9 // 10 if frame.kind is MediaKind.AUDIO else 0)


def _running_ahead(random: Random, frame: TappedFrame) -> TappedFrame:  # noqa: ARG001 - a Change
    return _shifted(frame, frame.time_us * 90)


def _sound_and_pictures_apart(random: Random, frame: TappedFrame) -> TappedFrame:
    return _shifted(frame, random.choice((-1, 1)) * (9_000_000 if frame.kind is MediaKind.AUDIO else 5_000_000))


def _another_publication(random: Random, frame: TappedFrame) -> TappedFrame:
    return msgspec.structs.replace(frame, is_new_stream=random.random() < 0.2)


def _another_size(random: Random, frame: TappedFrame) -> TappedFrame:
    if frame.kind is MediaKind.AUDIO:
        return frame
    body = second_of_pictures(*random.choice(_SIZES))[0]
    return msgspec.structs.replace(frame, body=body, is_keyframe=True, is_new_stream=True)


def _another_layer(random: Random, frame: TappedFrame) -> TappedFrame:  # noqa: ARG001 - a Change
    if frame.kind is MediaKind.AUDIO:
        return frame
    number = round(frame.time_us * 30 / 1_000_000)
    return msgspec.structs.replace(frame, body=second_of_pictures(*_SIZES[number // 90 % 2])[number % 30])


def _everything(random: Random, frame: TappedFrame) -> TappedFrame:
    for change in random.sample((_jumping_together, _swinging_lag, _another_publication, _another_size), 2):
        frame = change(random, frame)
    return frame


CHANGES = [
    _random_time,
    _jumping_together,
    _growing_lag,
    _lag_of_seconds,
    _swinging_lag,
    _slow_sound,
    _running_ahead,
    _sound_and_pictures_apart,
    _another_publication,
    _another_size,
    _everything,
]


def _sent(seconds: int, change: Change) -> Iterator[tuple[int, TappedFrame]]:
    """The frames of a publisher, with the milliseconds after which they arrive."""
    random = Random(1)
    for frame in interleaved(pictures(seconds), sounds(seconds)):
        yield frame.time_us // 1_000, change(random, frame)


def _record(change: Change, *, ends_parts: bool = False) -> tuple[RecordedPublisher, int]:
    """Record a publisher. Returns the bytes that it has sent, too."""
    publisher = RecordedPublisher(make_request(thumbnails=ThumbnailSettings(interval_seconds=1, is_latest=True)))
    sent_bytes, second = 0, 0
    for passed_ms, frame in _sent(SECONDS, change):
        publisher.now_ms = START_MS + passed_ms
        if passed_ms // 1_000 > second:
            second = passed_ms // 1_000
            publisher.recorder.tick()
            if ends_parts:
                publisher.recorder.end_part()
        publisher.recorder.receive(frame)
        sent_bytes += len(frame.body)
    publisher.recorder.end()
    return publisher, sent_bytes


def _check_cost(publisher: RecordedPublisher, sent_bytes: int) -> None:
    recording = check_recording(publisher.objects.bodies)
    streams = 1 + sum(segment.is_discontinuity for segment in recording.segments)
    assert streams <= MAX_STREAMS + SECONDS // STREAM_INTERVAL_SECONDS
    names = [name for name, _ in publisher.objects.puts]
    media_seconds = recording.duration_seconds
    # The lead over the wall clock, once, and what of it each part may use again.
    assert media_seconds <= SECONDS * 1.01 + (MAX_LEAD_US + streams * MAX_SKEW_US) / 1e6
    assert sum("init-" in name for name in names) <= streams
    segments = sum(name.endswith(".mp4") for name in names) - sum("init-" in name for name in names)
    assert segments <= streams + media_seconds / (SEGMENT_SECONDS - 0.5)
    assert sum(name.endswith(".jpg") for name in names) <= 2 * (media_seconds + 2)
    assert sum(name.endswith(".m3u8") for name in names) <= segments + 3 * streams + 4
    segment_bytes = sum(size for name, size in publisher.objects.puts if name.startswith(FOLDER) and "mp4" in name)
    repeated_bytes = segments * max(len(second_of_pictures(*size)[0]) for size in _SIZES)
    assert segment_bytes <= 2 * sent_bytes + repeated_bytes + media_seconds * SOUND_BYTES_PER_SECOND


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_publisher_that_changes_all_the_time_costs_few_objects(change: Change) -> None:
    _check_cost(*_record(change))


def test_a_publisher_that_reconnects_all_the_time_costs_few_objects() -> None:
    _check_cost(*_record(lambda _, frame: frame, ends_parts=True))


def test_video_that_lags_is_recorded_without_a_discontinuity() -> None:
    for change in (_growing_lag, _lag_of_seconds):
        publisher, _ = _record(change)
        recording = check_recording(publisher.objects.bodies)
        assert not any(segment.is_discontinuity for segment in recording.segments)
        assert recording.duration_seconds == pytest.approx(SECONDS, abs=0.5)


def test_each_change_of_a_simulcast_layer_is_a_discontinuity() -> None:
    publisher, _ = _record(_another_layer)
    recording = check_recording(publisher.objects.bodies)
    assert [segment.start_seconds for segment in recording.segments if segment.is_discontinuity] == [3, 6, 9]

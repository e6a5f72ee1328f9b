"""The HLS writer: where segments end, for any sequence of pictures and sound, and what a long recording costs."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.recording.hls.access_unit import video_format
from stagebook.media.recording.hls.encoded_media import EncodedPicture, EncodedSound, SoundFormat, us_to_samples
from stagebook.media.recording.hls.hls_writer import MAX_SEGMENT_BYTES, MAX_SEGMENT_SECONDS, HlsWriter
from tests.media.recording.hls_rules import check_recording
from tests.media.recording.stored_objects import StoredObjects
from tests.media.recording.tapped_media import second_of_pictures

SOUND = SoundFormat(description=bytes.fromhex("1190"))
SILENT_FRAME = bytes(10)
PICTURE_STEPS_US = st.lists(
    st.tuples(st.sampled_from([1_000, 33_333, 100_000, 1_500_000, 9_000_000]), st.booleans()),
    min_size=1,
    max_size=40,
)


class WrittenStream:
    """A writer that is fed with pictures, and with sound up to each of them."""

    def __init__(self, *, has_sound: bool, segment_seconds: int = 2) -> None:
        self.objects = StoredObjects()
        self.requests = 0
        self.writer = HlsWriter(
            objects=self.objects, rendition="high", segment_seconds=segment_seconds, request_keyframe=self._request
        )
        self._has_sound = has_sound
        self._samples = 0
        self.start(0)

    def start(self, start_us: int) -> None:
        """Begin a stream."""
        self.writer.start_stream(
            video=video_format(second_of_pictures()[0]),
            sound=SOUND if self._has_sound else None,
            start_us=start_us,
            wall_clock_ms=start_us // 1_000,
        )

    def write(self, time_us: int, *, is_keyframe: bool) -> None:
        """Write the sound up to the time of a picture, then the picture."""
        body = second_of_pictures()[0 if is_keyframe else 1]
        self._write_sound(time_us)
        self.writer.write_picture(EncodedPicture(time_us=time_us, body=body, is_keyframe=is_keyframe))

    def end(self) -> int:
        """Write the sound up to the end of the last picture, and end. Returns the duration in milliseconds."""
        self._write_sound(self.writer.end_us)
        return self.writer.end()

    def _write_sound(self, until_us: int) -> None:
        while self._has_sound and self._samples < us_to_samples(until_us):
            self.writer.write_sound(EncodedSound(time_samples=self._samples, body=SILENT_FRAME))
            self._samples += 1_024

    def _request(self) -> None:
        self.requests += 1


@settings(max_examples=15, deadline=None)
@given(PICTURE_STEPS_US, st.booleans(), st.sets(st.integers(min_value=1, max_value=59), max_size=3))
def test_any_stream_becomes_a_recording_that_follows_the_rules(
    steps: list[tuple[int, bool]],
    has_sound: bool,  # noqa: FBT001 - hypothesis passes it
    discontinuities: set[int],
) -> None:
    stream = WrittenStream(has_sound=has_sound)
    time_us = 0
    stream.write(time_us, is_keyframe=True)
    for index, (step_us, is_keyframe) in enumerate(steps):
        time_us += step_us
        if index in discontinuities and stream.writer.accepts(time_us):
            stream.start(time_us)
            stream.write(time_us, is_keyframe=True)
        else:
            stream.write(time_us, is_keyframe=is_keyframe)
    duration_ms = stream.end()
    recording = check_recording(stream.objects.bodies)
    assert recording.target_seconds <= MAX_SEGMENT_SECONDS + 2
    assert abs(recording.duration_seconds * 1_000 - duration_ms) < 1
    # Without sound, time after the last picture that can be decoded is not recorded.
    assert time_us / 1_000 - 3_100 <= duration_ms <= time_us / 1_000 + 1_100


def test_a_keyframe_is_requested_when_a_segment_is_due() -> None:
    stream = WrittenStream(has_sound=False)
    for number in range(60):
        stream.write(number * 33_333, is_keyframe=number == 0)
        assert stream.requests == (number * 33_333 >= 1_700_000)


def test_no_keyframe_is_requested_of_an_encoder_that_sends_them_in_time() -> None:
    stream = WrittenStream(has_sound=False)
    for number in range(600):
        stream.write(number * 33_333, is_keyframe=number % 60 == 0)
    # Two keyframes show the interval.
    assert stream.requests <= 1


def test_a_segment_of_large_pictures_is_bounded() -> None:
    stream = WrittenStream(has_sound=False)
    large = second_of_pictures()[1] + bytes(range(1, 256)) * 4_000
    stream.write(0, is_keyframe=True)
    for number in range(1, 200):
        picture = EncodedPicture(time_us=number * 33_333, body=large, is_keyframe=False)
        stream.writer.write_picture(picture)
    stream.end()
    assert max(size for _, size in stream.objects.puts) < MAX_SEGMENT_BYTES + 2 * len(large)
    check_recording(stream.objects.bodies)


def test_sound_before_the_start_is_left_out() -> None:
    stream = WrittenStream(has_sound=True)
    stream.writer.write_sound(EncodedSound(time_samples=-1_024, body=SILENT_FRAME))
    stream.write(0, is_keyframe=True)
    stream.write(100_000, is_keyframe=False)
    stream.end()
    check_recording(stream.objects.bodies)


class CountedObjects(StoredObjects):
    """Objects of which only the sizes are kept."""

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Count an object."""
        del content_type
        self.puts.append((name.rpartition("/")[2], len(body)))


def write_segments(writer: HlsWriter, numbers: range) -> None:
    """Write segments of 2 s, each with one picture."""
    for number in numbers:
        picture = EncodedPicture(time_us=number * 2_000_000, body=second_of_pictures()[0], is_keyframe=True)
        writer.write_picture(picture)


def make_writer(objects: StoredObjects) -> HlsWriter:
    """Return a writer whose stream has begun."""
    writer = HlsWriter(objects=objects, rendition="high", segment_seconds=2, request_keyframe=lambda: None)
    video = video_format(second_of_pictures()[0])
    writer.start_stream(video=video, sound=None, start_us=0, wall_clock_ms=0)
    return writer


def test_the_playlists_of_a_long_recording_are_not_quadratic() -> None:
    """Six hours in segments of 2 s: 10,800 segments."""
    objects = CountedObjects()
    writer = make_writer(objects)
    write_segments(writer, range(10_800))
    # The last picture lasts as long as it may: one second.
    assert writer.end() == 10_799 * 2_000 + 1_000
    written = [size for name, size in objects.puts if name == "playlist.m3u8"]
    assert written[-1] < 10_800 * 32
    assert sum(written) < 110 * written[-1]


def test_memory_grows_by_the_lines_of_the_playlist_only() -> None:
    objects = CountedObjects()
    writer = make_writer(objects)
    write_segments(writer, range(1_000))
    objects.puts.clear()
    tracemalloc.start()
    write_segments(writer, range(1_000, 2_500))
    objects.puts.clear()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 2_500 * 32 * 2

"""Recordings of a participant: what a publisher sends, loses, changes and leaves out."""

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.recording.participant_recorder import UNSUPPORTED_CODEC, UnsupportedVideoError
from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.recording.hls_rules import FOLDER, check_recording
from tests.media.recording.mp4_reading import samples, tracks
from tests.media.recording.recorded_publisher import RecordedPublisher, make_request
from tests.media.recording.tapped_media import interleaved, pictures, sounds, vp8_picture


def renewed(frames: list[TappedFrame]) -> list[TappedFrame]:
    """Mark the first frame of each kind as the first one of a new publication."""
    seen: set[MediaKind] = set()
    marked = []
    for frame in frames:
        marked.append(msgspec.structs.replace(frame, is_new_stream=frame.kind not in seen))
        seen.add(frame.kind)
    return marked


def kinds_of(publisher: RecordedPublisher, number: int) -> set[str]:
    """Return the codecs of an init segment."""
    return {track.codec.partition(".")[0] for track in tracks(publisher.objects.bodies[f"{FOLDER}/init-{number}.mp4"])}


def test_a_recording_has_the_documented_objects() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(5), sounds(5)))
    assert publisher.recorder.end() == 5_000
    assert sorted(publisher.objects.bodies) == [
        "events/recording-ended.json",
        "events/recording-started.json",
        f"{FOLDER}/0.mp4",
        f"{FOLDER}/1.mp4",
        f"{FOLDER}/2.mp4",
        f"{FOLDER}/init-0.mp4",
        f"{FOLDER}/playlist.m3u8",
        "media/hls/multivariant.m3u8",
    ]


def test_the_metadata_of_the_start_is_put_first_and_that_of_the_end_last() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(3), sounds(3)))
    publisher.recorder.end()
    names = [name for name, _ in publisher.objects.puts]
    assert names[0] == "events/recording-started.json"
    assert names[-1] == "events/recording-ended.json"
    assert names[-3:-1] == [f"{FOLDER}/playlist.m3u8", "media/hls/multivariant.m3u8"]


def test_a_recording_follows_the_rules_of_hls_and_says_when_it_was() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(7), sounds(7)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert [round(segment.duration_seconds) for segment in recording.segments] == [2, 2, 2, 1]
    assert recording.target_seconds == 2
    assert recording.segments[0].date_time == "2023-11-14T22:13:20.123Z"


def test_pictures_are_copied() -> None:
    publisher = RecordedPublisher()
    frames = interleaved(pictures(2), sounds(2))
    publisher.send(frames)
    publisher.recorder.end()
    sent = next(frame.body for frame in frames if frame.kind is MediaKind.VIDEO)
    segment = publisher.objects.bodies[f"{FOLDER}/0.mp4"]
    first = samples(segment)[1][0].body
    units = [unit.rstrip(b"\0") for unit in sent.split(b"\0\0\1")[1:]]
    assert first == b"".join(len(unit).to_bytes(4) + unit for unit in units)


def test_lost_pictures_and_packets_are_bridged() -> None:
    publisher = RecordedPublisher()
    frames = interleaved(pictures(9), sounds(9))
    publisher.send([frame for frame in frames if not 2_200_000 <= frame.time_us < 4_000_000])
    assert publisher.recorder.end() == pytest.approx(9_000, abs=40)
    assert len(check_recording(publisher.objects.bodies).segments) == 5


def test_pictures_that_are_lost_at_the_end_are_bridged_too() -> None:
    """Without sound, nothing else says how long the publisher went on."""
    publisher = RecordedPublisher()
    frames = list(pictures(9))
    # A loss at 6.5 s, after which no keyframe has come.
    publisher.send(frames[:195])
    publisher.wait(2)
    publisher.recorder.fill_until(frames[-1].time_us)
    publisher.now_ms += 20_000
    assert publisher.recorder.end() == pytest.approx(9_000, abs=40)
    check_recording(publisher.objects.bodies)


def test_an_end_that_cannot_be_right_is_not_filled() -> None:
    publisher = RecordedPublisher()
    publisher.recorder.fill_until(5_000_000)
    publisher.send(interleaved(pictures(3), sounds(3)))
    publisher.recorder.fill_until(10**12)
    assert publisher.recorder.end() == pytest.approx(3_000, abs=40)
    publisher.recorder.fill_until(5_000_000)


def test_a_muted_microphone_is_silence() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(12), (frame for frame in sounds(12) if frame.time_us < 3_000_000)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert recording.duration_seconds == pytest.approx(12, abs=0.04)
    assert not any(segment.is_discontinuity for segment in recording.segments)


def test_a_stopped_camera_shows_its_last_picture_on() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved((frame for frame in pictures(12) if frame.time_us < 3_000_000), sounds(12)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert recording.duration_seconds == pytest.approx(12, abs=0.04)
    assert recording.target_seconds <= 4


def test_a_camera_that_comes_back_goes_on_with_a_keyframe() -> None:
    publisher = RecordedPublisher()
    video = [frame for frame in pictures(14) if not 3_000_000 <= frame.time_us < 9_500_000]
    publisher.send(interleaved(iter(video), sounds(14)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert publisher.keyframe_requests
    assert recording.duration_seconds == pytest.approx(14, abs=0.04)


def test_a_publisher_that_sends_nothing_at_all_is_recorded_on() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(3), sounds(3)))
    publisher.wait(30)
    assert len([name for name, _ in publisher.objects.puts if name.endswith(".mp4")]) > 12
    publisher.recorder.end()
    assert check_recording(publisher.objects.bodies).duration_seconds == pytest.approx(30, abs=3)


def test_audio_only_publishers_have_a_black_picture() -> None:
    publisher = RecordedPublisher()
    publisher.send(sounds(6.5))
    assert publisher.recorder.end() == pytest.approx(6_500, abs=40)
    recording = check_recording(publisher.objects.bodies)
    assert [segment.start_seconds for segment in recording.segments] == [0, 2, 4]
    assert kinds_of(publisher, 0) == {"avc1", "mp4a"}


def test_video_is_left_out_of_audio_only_recordings() -> None:
    publisher = RecordedPublisher(make_request(has_video=False, thumbnails=ThumbnailSettings(interval_seconds=1)))
    publisher.send([vp8_picture(), *interleaved(pictures(3), sounds(3))])
    publisher.recorder.end()
    check_recording(publisher.objects.bodies)
    assert kinds_of(publisher, 0) == {"mp4a"}
    assert not any("thumbnail" in name for name in publisher.objects.bodies)
    assert "thumbnails" not in publisher.objects.text("events/recording-ended.json")


def test_publishers_without_audio_have_silence() -> None:
    publisher = RecordedPublisher()
    publisher.send(pictures(7))
    assert publisher.recorder.end() == pytest.approx(7_000, abs=40)
    check_recording(publisher.objects.bodies)
    assert kinds_of(publisher, 0) == {"avc1", "mp4a"}


def test_sound_that_comes_late_is_no_discontinuity() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(10), (frame for frame in sounds(10) if frame.time_us > 5_500_000)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert not any(segment.is_discontinuity for segment in recording.segments)


def test_pictures_that_come_late_begin_another_stream() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved((frame for frame in pictures(10) if frame.time_us > 5_500_000), sounds(10)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert (kinds_of(publisher, 0), kinds_of(publisher, 1)) == ({"avc1", "mp4a"}, {"avc1", "mp4a"})
    assert [segment.start_seconds for segment in recording.segments if segment.is_discontinuity] == [6.0]
    assert recording.duration_seconds == pytest.approx(10, abs=0.04)


def test_another_picture_size_is_a_discontinuity_without_a_gap() -> None:
    publisher = RecordedPublisher()
    video = [*pictures(4.5), *pictures(4.5, start_us=4_500_000, width=320, height=192)]
    publisher.send(interleaved(iter(video), sounds(9)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert [segment.start_seconds for segment in recording.segments if segment.is_discontinuity] == [4.5]
    sizes = [tracks(publisher.objects.bodies[f"{FOLDER}/init-{number}.mp4"])[0].width for number in (0, 1)]
    assert sizes == [160, 320]
    assert "RESOLUTION=320x192" in publisher.objects.text("media/hls/multivariant.m3u8")


def test_another_publication_is_a_discontinuity() -> None:
    publisher = RecordedPublisher()
    again = renewed(interleaved(pictures(4, start_us=4_500_000), sounds(4, start_us=4_500_000)))
    publisher.send([*interleaved(pictures(4.5), sounds(4.5)), *again])
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert [segment.start_seconds for segment in recording.segments if segment.is_discontinuity] == [4.5]


def test_another_publication_without_pictures_is_a_discontinuity() -> None:
    publisher = RecordedPublisher()
    publisher.send([*sounds(4.5), *renewed(list(sounds(4, start_us=4_500_000)))])
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert sum(segment.is_discontinuity for segment in recording.segments) == 1


def test_a_publisher_that_returns_continues_the_recording() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(3), sounds(3)))
    publisher.recorder.end_part()
    assert f"{FOLDER}/1.mp4" in publisher.objects.bodies
    publisher.wait(60)
    publisher.send(renewed(interleaved(pictures(4), sounds(4))), offset_us=987_654_321)
    assert publisher.recorder.end() == pytest.approx(7_000, abs=50)
    recording = check_recording(publisher.objects.bodies)
    second = next(segment for segment in recording.segments if segment.is_discontinuity)
    assert second.start_seconds == pytest.approx(3, abs=0.05)
    assert second.date_time is not None
    assert second.date_time.startswith("2023-11-14T22:14:2")


@pytest.mark.parametrize("jump_us", [3_600_000_000, -3_600_000_000])
def test_a_clock_that_jumps_leaves_no_gap(jump_us: int) -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(3), sounds(3)), offset_us=10_000_000_000)
    publisher.send(interleaved(pictures(3), sounds(3)), offset_us=10_003_000_000 + jump_us)
    assert publisher.recorder.end() == pytest.approx(6_000, abs=50)
    check_recording(publisher.objects.bodies)


@pytest.mark.parametrize("is_ticked_first", [True, False])
def test_a_process_that_was_stopped_for_a_day_fills_no_day(is_ticked_first: bool) -> None:  # noqa: FBT001 - a parameter
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(3), sounds(3)))
    publisher.now_ms += 86_400_000
    if is_ticked_first:
        publisher.recorder.tick()
    publisher.send(interleaved(pictures(3), sounds(3)), offset_us=86_403_000_000)
    assert publisher.recorder.end() == pytest.approx(6_000, abs=50)
    check_recording(publisher.objects.bodies)


def test_a_publisher_whose_keyframes_are_rare_has_longer_segments() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(18, keyframe_seconds=8), sounds(18)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert [round(segment.duration_seconds) for segment in recording.segments] == [8, 8, 2]
    assert recording.target_seconds == 8
    assert publisher.keyframe_requests > 10


def test_a_publisher_without_keyframes_has_bounded_segments() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(26, keyframe_seconds=1_000), sounds(26)))
    publisher.recorder.end()
    recording = check_recording(publisher.objects.bodies)
    assert recording.target_seconds <= 20
    assert recording.duration_seconds == pytest.approx(26, abs=0.05)


def test_pictures_before_the_first_keyframe_are_left_out() -> None:
    publisher = RecordedPublisher()
    publisher.send(frame for frame in interleaved(pictures(5), sounds(5)) if frame.time_us >= 500_000)
    assert publisher.recorder.end() == pytest.approx(4_000, abs=40)
    check_recording(publisher.objects.bodies)


def test_vp8_is_refused_at_the_start() -> None:
    publisher = RecordedPublisher()
    publisher.send(sounds(0.2))
    with pytest.raises(UnsupportedVideoError) as raised:
        publisher.recorder.receive(vp8_picture(100_000))
    assert raised.value.duration_ms == 0
    assert list(publisher.objects.bodies) == ["events/recording-failed.json"]
    document = json.loads(publisher.objects.text("events/recording-failed.json"))
    assert document["recording_status"] == "RECORDING_START_FAILED"
    assert document["recording_status_message"] == UNSUPPORTED_CODEC


def test_a_change_to_vp8_ends_the_recording_with_a_failure() -> None:
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(3), sounds(3)))
    with pytest.raises(UnsupportedVideoError) as raised:
        publisher.recorder.receive(vp8_picture(3_000_000))
    assert raised.value.duration_ms == pytest.approx(3_000, abs=40)
    check_recording(publisher.objects.bodies)
    document = json.loads(publisher.objects.text("events/recording-failed.json"))
    assert document["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"


def test_a_recording_without_media_puts_nothing() -> None:
    publisher = RecordedPublisher()
    publisher.wait(10)
    assert publisher.recorder.end() == 0
    assert publisher.objects.puts == []


def test_nothing_is_put_after_the_end() -> None:
    publisher = RecordedPublisher()
    frames = interleaved(pictures(4), sounds(4))
    publisher.send(frames[:200])
    duration_ms = publisher.recorder.end()
    count = len(publisher.objects.puts)
    publisher.send(frames[200:])
    publisher.wait(5)
    assert publisher.recorder.end() == duration_ms
    assert publisher.recorder.fail("late") == duration_ms
    assert len(publisher.objects.puts) == count


def test_thumbnails_are_made_of_keyframes_at_the_interval() -> None:
    settings = ThumbnailSettings(interval_seconds=3, is_sequential=True, is_latest=True)
    publisher = RecordedPublisher(make_request(thumbnails=settings))
    publisher.send(interleaved(pictures(10), sounds(10)))
    publisher.recorder.end()
    names = [name for name, _ in publisher.objects.puts if name.endswith(".jpg")]
    assert [name for name in names if "latest" not in name] == [
        f"media/thumbnails/high/{number}.jpg" for number in (1, 2, 3, 4)
    ]
    assert names.count("media/latest_thumbnail/high/thumb.jpg") == 4
    assert publisher.objects.content_types[names[0]] == "image/jpeg"


def test_ffmpeg_plays_a_recording_without_a_warning(tmp_path: Path) -> None:
    publisher = RecordedPublisher()
    frames = interleaved(pictures(9), sounds(9))
    publisher.send([frame for frame in frames if not 2_200_000 <= frame.time_us < 3_000_000])
    publisher.recorder.end_part()
    publisher.send(renewed(interleaved(pictures(3), sounds(3))), offset_us=1)
    publisher.recorder.end()
    for name, body in publisher.objects.bodies.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    playlist = str(tmp_path / "media/hls/multivariant.m3u8")
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", playlist, "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")

"""Recordings of what publishers do, played to their end by Chromium with hls.js and by ffmpeg."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Browser

from stagebook.media.tap.tapped_frame import TappedFrame
from tests.e2e.recording.hls_js import HlsJsUnavailableError
from tests.e2e.recording.played_recording import PlayedRecording, play_recording
from tests.media.recording.hls_rules import check_recording
from tests.media.recording.recorded_publisher import RecordedPublisher, make_request
from tests.media.recording.tapped_media import interleaved, pictures, sounds

pytestmark = pytest.mark.recording

_SECOND_US = 1_000_000


def plain(publisher: RecordedPublisher) -> None:
    """A publisher that sends both kinds all the time."""
    publisher.send(interleaved(pictures(10), sounds(10)))


def lossy(publisher: RecordedPublisher) -> None:
    """A publisher of whom 1.5 s are lost."""
    frames = interleaved(pictures(10), sounds(10))
    publisher.send(frame for frame in frames if not 3.5 * _SECOND_US <= frame.time_us < 5 * _SECOND_US)


def stopped_camera(publisher: RecordedPublisher) -> None:
    """A publisher whose camera is stopped for some time."""
    video: Iterator[TappedFrame] = (
        frame for frame in pictures(14) if not 3 * _SECOND_US <= frame.time_us < 9 * _SECOND_US
    )
    publisher.send(interleaved(video, sounds(14)))


def resized(publisher: RecordedPublisher) -> None:
    """A publisher whose pictures become larger."""
    video = [*pictures(5), *pictures(5, start_us=5 * _SECOND_US, width=320, height=192)]
    publisher.send(interleaved(iter(video), sounds(10)))


def returning(publisher: RecordedPublisher) -> None:
    """A publisher that leaves and comes back."""
    publisher.send(interleaved(pictures(5), sounds(5)))
    publisher.recorder.end_part()
    publisher.wait(20)
    again = interleaved(pictures(5), sounds(5))
    publisher.send(
        (msgspec.structs.replace(frame, is_new_stream=frame.time_us == 0) for frame in again), offset_us=12_345
    )


def audio_only(publisher: RecordedPublisher) -> None:
    """A publisher without a camera."""
    publisher.send(sounds(10))


def video_only(publisher: RecordedPublisher) -> None:
    """A publisher without a microphone."""
    publisher.send(pictures(10))


def late_camera(publisher: RecordedPublisher) -> None:
    """A publisher who starts the camera later."""
    video = (frame for frame in pictures(10) if frame.time_us >= 5 * _SECOND_US)
    publisher.send(interleaved(video, sounds(10)))


def audio_recorded(publisher: RecordedPublisher) -> None:
    """A publisher of whom only the audio is recorded."""
    publisher.send(interleaved(pictures(10), sounds(10)))


SCENARIOS = [plain, lossy, stopped_camera, resized, returning, audio_only, video_only, late_camera, audio_recorded]


def record(scenario: Callable[[RecordedPublisher], None], folder: Path) -> float:
    """Record a scenario into a folder. Returns the duration in seconds."""
    publisher = RecordedPublisher(make_request(has_video=scenario is not audio_recorded))
    scenario(publisher)
    duration_ms = publisher.recorder.end()
    check_recording(publisher.objects.bodies)
    for name, body in publisher.objects.bodies.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return duration_ms / 1_000


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_chromium_plays_a_recording_to_its_end(
    browser: Browser, tmp_path: Path, scenario: Callable[[RecordedPublisher], None]
) -> None:
    duration = record(scenario, tmp_path / "recording")
    (tmp_path / "page").mkdir()
    try:
        played = await play_recording(browser, tmp_path / "recording", tmp_path / "page")
    except HlsJsUnavailableError as error:
        pytest.skip(str(error))
    assert played.errors == []
    assert played.ended, played
    assert played.time == pytest.approx(duration, abs=0.1)
    _check_kinds(played, scenario)


def _check_kinds(played: PlayedRecording, scenario: Callable[[RecordedPublisher], None]) -> None:
    if scenario is audio_recorded:
        assert played.frames == 0
    elif scenario is not audio_only:
        assert played.frames > 50
    assert played.audio_bytes > 1_000
    if scenario is resized:
        assert played.sizes == ["160x96", "320x192"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_ffmpeg_plays_a_recording_to_its_end(tmp_path: Path, scenario: Callable[[RecordedPublisher], None]) -> None:
    duration = record(scenario, tmp_path)
    playlist = str(tmp_path / "media/hls/multivariant.m3u8")
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", playlist, "-f", "null", "-progress", "-", "-"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    # ffmpeg reads the parameter sets of the new size in the stream. That there is a second init segment, it reports.
    expected = ["Found duplicated MOOV Atom. Skipped it"] if scenario in (resized, late_camera) else []
    assert [line.partition("] ")[2] for line in result.stderr.splitlines()] == expected
    times = [int(line.partition("=")[2]) for line in result.stdout.splitlines() if line.startswith("out_time_us=")]
    assert times[-1] / 1e6 == pytest.approx(duration, abs=0.1)

"""Sound and pictures stay together: the flashes and beeps of a publisher, decoded from its recording."""

from collections.abc import Iterator

import av
import numpy as np
import pytest

from tests.media.recording.hls_rules import FOLDER, check_recording, read_playlist
from tests.media.recording.recorded_publisher import RecordedPublisher
from tests.media.recording.tapped_media import interleaved, pictures, sounds

MAX_OFFSET_SECONDS = 0.040


def offsets(objects: dict[str, bytes], tmp_name: str) -> list[float]:
    """Return how much later each beep is than its flash, in seconds. `tmp_name` is a file for the joined segments."""
    recording = read_playlist(objects[f"{FOLDER}/playlist.m3u8"].decode())
    parts = [objects[f"{FOLDER}/{recording.segments[0].init_uri}"]]
    parts += [objects[f"{FOLDER}/{segment.uri}"] for segment in recording.segments]
    with open(tmp_name, "wb") as file:  # noqa: PTH123 - PyAV takes a name
        file.writelines(parts)
    flashes, beeps = list(_flashes(tmp_name)), list(_beeps(tmp_name))
    return [min((beep - flash for beep in beeps), key=abs) for flash in flashes]


def _flashes(name: str) -> Iterator[float]:
    was_white = False
    with av.open(name) as container:
        for frame in container.decode(video=0):
            is_white = float(frame.to_ndarray()[0, 0]) > 128
            if is_white and not was_white:
                yield frame.time or 0.0
            was_white = is_white


def _beeps(name: str) -> Iterator[float]:
    """Yield when the amplitude passes a quarter of a beep's, after half a second of silence."""
    last = -1.0
    with av.open(name) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.15)
            for index in loud:
                time = (frame.time or 0.0) + float(index) / 48_000
                if time - last > 0.5:
                    yield time
                last = time


def recorded_offsets(name: str, *, seconds: int, drift_ppm: float) -> list[float]:
    """Record a publisher whose audio clock drifts. Returns the offsets, one for each second."""
    publisher = RecordedPublisher()
    publisher.send(interleaved(pictures(seconds), sounds(seconds, drift_ppm=drift_ppm)))
    publisher.recorder.end()
    check_recording(publisher.objects.bodies)
    return offsets(publisher.objects.bodies, name)


@pytest.mark.parametrize("drift_ppm", [3_500.0, pytest.param(-3_500.0, marks=pytest.mark.slow)])
def test_sound_follows_a_clock_that_drifts(tmp_path_factory: pytest.TempPathFactory, drift_ppm: float) -> None:
    """In 15 s, a clock that is wrong by 3,500 ppm is off by 52 ms."""
    name = str(tmp_path_factory.mktemp("sync") / "recording.mp4")
    found = recorded_offsets(name, seconds=15, drift_ppm=drift_ppm)
    assert len(found) == 15
    assert max(map(abs, found)) < MAX_OFFSET_SECONDS, found


def test_sound_and_pictures_stay_together_across_loss(tmp_path_factory: pytest.TempPathFactory) -> None:
    publisher = RecordedPublisher()
    frames = interleaved(pictures(12), sounds(12))
    lost = [(2.4e6, 2.9e6), (4.3e6, 4.35e6), (6.5e6, 8.6e6)]
    publisher.send(frame for frame in frames if not any(start <= frame.time_us < end for start, end in lost))
    publisher.recorder.end()
    found = offsets(publisher.objects.bodies, str(tmp_path_factory.mktemp("sync") / "recording.mp4"))
    assert len(found) >= 10
    assert max(map(abs, found)) < MAX_OFFSET_SECONDS, found


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_sound_and_pictures_stay_together_for_an_hour(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In an hour, a clock that is wrong by 100 ppm is off by 360 ms."""
    name = str(tmp_path_factory.mktemp("sync") / "recording.mp4")
    found = recorded_offsets(name, seconds=3_600, drift_ppm=100.0)
    assert len(found) == 3_600
    assert max(map(abs, found)) < MAX_OFFSET_SECONDS

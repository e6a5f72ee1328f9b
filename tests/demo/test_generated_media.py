"""The generated pictures and sound, and the check that they arrive."""

import array
import math

import pytest
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import DARK, MovingBar, Observer, Tone, share_of_tone


async def test_the_bar_moves_and_is_seen_to() -> None:
    track, observer = MovingBar(frames_per_second=1_000), Observer()
    for _ in range(4):
        observer.see(await track.recv())
    assert observer.bar_positions == {0, 1, 2, 3}
    assert (observer.pictures, observer.size, observer.moving) == (4, (320, 240), True)


def still_picture(luma: int) -> VideoFrame:
    frame = VideoFrame(320, 240, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([luma]) * plane.buffer_size)
    return frame


@pytest.mark.parametrize("luma", [DARK, 235])
def test_a_still_picture_does_not_move(luma: int) -> None:
    observer = Observer()
    for _ in range(10):
        observer.see(still_picture(luma))
    assert not observer.moving


def sound(samples: list[int], layout: str = "mono") -> AudioFrame:
    channels = 2 if layout == "stereo" else 1
    frame = AudioFrame(format="s16", layout=layout, samples=len(samples))
    frame.planes[0].update(array.array("h", [sample for sample in samples for _ in range(channels)]).tobytes())
    frame.sample_rate = 48_000
    return frame


def wave(hertz: float, amplitude: int = 8_000) -> list[int]:
    return [int(amplitude * math.sin(2 * math.pi * hertz * index / 48_000)) for index in range(960)]


async def test_the_tone_is_heard_in_what_the_track_gives() -> None:
    track, observer = Tone(), Observer()
    for _ in range(10):
        observer.hear(await track.recv())
    assert observer.tone_heard


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_the_tone_is_heard_in_any_layout(layout: str) -> None:
    observer = Observer()
    observer.hear(sound(wave(440), layout))
    assert observer.tone_frames == 1


@pytest.mark.parametrize("samples", [[0] * 960, wave(1_000), wave(440, amplitude=5), [8_000] * 960])
def test_silence_and_other_sounds_are_not_the_tone(samples: list[int]) -> None:
    observer = Observer()
    observer.hear(sound(samples))
    assert observer.tone_frames == 0


def test_the_share_of_a_pure_tone_is_nearly_all() -> None:
    assert share_of_tone(array.array("h", wave(440)), 48_000) == pytest.approx(1.0, abs=0.15)

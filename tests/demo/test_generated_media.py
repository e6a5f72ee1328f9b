"""The generated tracks, and the observer that recognises them."""

import array
import math

import pytest
from av import AudioFrame, VideoFrame

from stagebook.demo.generated_media import DARK, MediaObserver, MovingBar, Tone, share_of_tone


async def test_the_movement_of_the_bar_is_recognised() -> None:
    track, observer = MovingBar(frames_per_second=1_000), MediaObserver()
    for _ in range(4):
        observer.observe_video(await track.recv())
    assert observer.bar_positions == {0, 1, 2, 3}
    assert (observer.video_frames, observer.size, observer.has_motion) == (4, (320, 240), True)


def uniform_frame(luma: int) -> VideoFrame:
    frame = VideoFrame(320, 240, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([luma]) * plane.buffer_size)
    return frame


@pytest.mark.parametrize("luma", [DARK, 235])
def test_uniform_frames_have_no_motion(luma: int) -> None:
    observer = MediaObserver()
    for _ in range(10):
        observer.observe_video(uniform_frame(luma))
    assert not observer.has_motion


def audio_frame(samples: list[int], layout: str = "mono") -> AudioFrame:
    channels = 2 if layout == "stereo" else 1
    frame = AudioFrame(format="s16", layout=layout, samples=len(samples))
    frame.planes[0].update(array.array("h", [sample for sample in samples for _ in range(channels)]).tobytes())
    frame.sample_rate = 48_000
    return frame


def wave(hertz: float, amplitude: int = 8_000) -> list[int]:
    return [int(amplitude * math.sin(2 * math.pi * hertz * index / 48_000)) for index in range(960)]


async def test_the_tone_of_the_track_is_recognised() -> None:
    track, observer = Tone(), MediaObserver()
    for _ in range(10):
        observer.observe_audio(await track.recv())
    assert observer.has_tone


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_the_tone_is_recognised_in_every_layout(layout: str) -> None:
    observer = MediaObserver()
    observer.observe_audio(audio_frame(wave(440), layout))
    assert observer.tone_frames == 1


@pytest.mark.parametrize("samples", [[0] * 960, wave(1_000), wave(440, amplitude=5), [8_000] * 960])
def test_silence_and_other_signals_are_not_the_tone(samples: list[int]) -> None:
    observer = MediaObserver()
    observer.observe_audio(audio_frame(samples))
    assert observer.tone_frames == 0


def test_nearly_all_energy_of_a_pure_tone_is_at_its_frequency() -> None:
    assert share_of_tone(array.array("h", wave(440)), 48_000) == pytest.approx(1.0, abs=0.15)

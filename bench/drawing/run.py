"""The part `drawing`: the processor time of the compositor and of the mixer, without decoding and encoding."""

import math
import time
from pathlib import Path

import av
import numpy as np

from bench.figures import median
from bench.report import Part, Table, Target, number
from stagebook.media.composition.composition_port import CanvasSettings, ComposedParticipant
from stagebook.media.composition.drawing.canvas import planes_of
from stagebook.media.composition.drawing.compositor import Compositor
from stagebook.media.composition.drawing.picture_memory import keep_freed_memory
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.composition.mixing.audio_mixer import AudioMixer
from stagebook.media.composition.mixing.participant_sound import SAMPLE_RATE

FRAMES_PER_SECOND = 30
TARGET_GRID_MS = 6.0
TARGET_MIXING_MS = 40.0
_RUNS = 5
_FRAMES = 60
_BLOCK = 1024
_PACKET = 960
_CASES = (
    ("2x2 of 720p pictures", 4, 1280, 720),
    ("2x2 of 360p pictures", 4, 640, 360),
    ("2x2 of portrait pictures, 720x1280", 4, 720, 1280),
    ("12 tiles of 720p pictures", 12, 1280, 720),
    ("12 tiles of 180p pictures", 12, 320, 180),
)


def measure_drawing(folder: Path) -> Part:  # noqa: ARG001 - all parts have the same arguments
    """Draw and mix generated pictures and sound, and return the report."""
    keep_freed_memory()
    drawing = {name: _drawing_ms(count, width, height) for name, count, width, height in _CASES}
    mixing = {count: _mixing_ms(count) for count in (4, 12)}
    return Part(
        title="Drawing and mixing of compositions",
        method=(
            f"Processor time of one thread, without decoding and encoding; the median of {_RUNS} runs. Drawing: every "
            f"participant has a new picture of noise for each frame of a 1280x720 canvas. "
            "Mixing: a tone of every participant, in packets of 20 ms."
        ),
        tables=(
            Table(
                headings=("drawing", "ms per frame", "ms per second"),
                rows=tuple((name, number(ms), number(ms * FRAMES_PER_SECOND)) for name, ms in drawing.items()),
            ),
            Table(
                headings=("mixing", "ms per second"),
                rows=tuple((f"{count} participants", number(ms)) for count, ms in mixing.items()),
            ),
        ),
        targets=(
            Target(what="drawing of a 2x2 frame", measured=drawing[_CASES[0][0]], at_most=TARGET_GRID_MS, unit="ms"),
            Target(
                what="mixing of 12 participants",
                measured=mixing[12],
                at_most=TARGET_MIXING_MS,
                unit="ms per second",
            ),
        ),
    )


def _drawing_ms(count: int, width: int, height: int) -> float:
    canvas = CanvasSettings(width=1280, height=720, frames_per_second=FRAMES_PER_SECOND, bitrate_bps=2_500_000)
    compositor = Compositor(canvas, GridLayout())
    compositor.show_participants(_participants(count))
    pictures = [_noise(width, height, seed) for seed in range(4)]

    def draw(frame: int) -> None:
        for index in range(count):
            compositor.receive_picture(str(index), pictures[(frame + index) % len(pictures)], frame)
        compositor.draw({})

    draw(-1)
    runs = []
    for run in range(_RUNS):
        started = time.process_time()
        for frame in range(_FRAMES):
            draw(run * _FRAMES + frame)
        runs.append((time.process_time() - started) * 1000 / _FRAMES)
    return median(runs)


def _mixing_ms(count: int) -> float:
    mixer = AudioMixer()
    mixer.show_participants(_participants(count))
    tone = np.sin(np.arange(_PACKET) * 2 * math.pi * 500 / SAMPLE_RATE) * 3_000
    packet = np.stack([tone, tone], axis=1).astype(np.int16)
    runs, sent, mixed = [], 0, 0
    for run in range(1, _RUNS + 1):
        started = time.process_time()
        while mixed < run * SAMPLE_RATE:
            while sent <= mixed:
                for index in range(count):
                    mixer.receive(str(index), packet, sent * 1_000_000 // SAMPLE_RATE)
                sent += _PACKET
            mixer.mix(_BLOCK)
            mixed += _BLOCK
        runs.append((time.process_time() - started) * 1000)
    return median(runs)


def _participants(count: int) -> tuple[ComposedParticipant, ...]:
    return tuple(ComposedParticipant(participant_id=str(index), source_id=str(index)) for index in range(count))


def _noise(width: int, height: int, seed: int) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, "yuv420p")
    generator = np.random.default_rng(seed)
    for plane in planes_of(picture):
        plane[:] = generator.integers(16, 235, plane.shape, np.uint8)
    return picture

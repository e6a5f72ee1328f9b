"""What a stored composition of publishers of one color shows, frame by frame."""

import datetime
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import msgspec
import numpy as np

from tests.media.composition.drawing.plain_pictures import Color, color_at

COLORS: dict[str, Color] = {
    "red": (81, 90, 240),
    "green": (145, 54, 34),
    "grey": (52, 128, 128),
    "black": (16, 128, 128),
}
_TOLERANCE = 24
_LOUD = 0.02


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen from a time on, in seconds since the epoch: one color, or the colors of both halves."""

    time: float
    colors: str


def shown_colors(playlist: Path) -> list[Shown]:
    """Return every change in a composition of one or two tiles side by side."""
    return _changes(playlist, _colors)


def shown_points(playlist: Path, points: Sequence[tuple[float, float]]) -> list[Shown]:
    """Return every change of the colors at these points, each as shares of the width and height."""

    def colors(frame: av.VideoFrame) -> str:
        places = [(round(x * frame.width), round(y * frame.height)) for x, y in points]
        return " ".join(_name(color_at(frame, *place)) for place in places)

    return _changes(playlist, colors)


def _changes(playlist: Path, describe: Callable[[av.VideoFrame], str]) -> list[Shown]:
    with av.open(str(playlist)) as player:
        frames = [(frame.time or 0.0, describe(frame)) for frame in player.decode(video=0)]
    start = _start(playlist) - frames[0][0]
    groups = itertools.groupby(frames, key=lambda frame: frame[1])
    return [Shown(time=start + next(group)[0], colors=colors) for colors, group in groups]


def loud_times(playlist: Path) -> list[float]:
    """Return the times of the frames of 21 ms that have a loud sample, in seconds since the epoch."""
    with av.open(str(playlist)) as player:
        frames = [(frame.time or 0.0, float(np.abs(frame.to_ndarray()).max())) for frame in player.decode(audio=0)]
    start = _start(playlist) - frames[0][0]
    return [start + moment for moment, peak in frames if peak > _LOUD]


def _start(playlist: Path) -> float:
    """Return the time of the first sample in seconds since the epoch."""
    dates = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)", playlist.read_text(encoding="utf-8"))
    return datetime.datetime.fromisoformat(dates[0]).timestamp()


def _colors(frame: av.VideoFrame) -> str:
    """Return the colors at the middles of both halves, or one if the picture is whole; "?" for anything else.

    The corners tell whether the picture is one tile: two tiles leave black bars above and below.
    """
    left, right = (_name(color_at(frame, x, frame.height // 2)) for x in (frame.width // 4, frame.width * 3 // 4))
    corner = _name(color_at(frame, 4, 4))
    if left == right == corner:
        return left
    return f"{left} {right}" if corner == "black" else f"{left} {right} with {corner}"


def _name(color: Color) -> str:
    for name, known in COLORS.items():
        if all(abs(value - expected) <= _TOLERANCE for value, expected in zip(color, known, strict=True)):
            return name
    return f"?{color}"

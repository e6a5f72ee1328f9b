"""Up to which time a recording has media, for tests that kill its process."""

import datetime
from pathlib import Path

from tests.media.recording.hls_rules import read_playlist

MAXIMUM_LOSS_SECONDS = 3.0
"""What a kill may lose with segments of 2 s: the one that was being filled, which waits for a keyframe for a part of a
second, and what had not arrived."""


def recorded_until(folder: Path) -> float:
    """Return the time at which the media of a recording ends, in seconds since the epoch."""
    (playlist,) = folder.glob("media/hls/*/playlist.m3u8")
    segments = read_playlist(playlist.read_text(encoding="utf-8")).segments
    began = next(number for number, each in reversed(list(enumerate(segments))) if each.date_time)
    date_time = segments[began].date_time
    assert date_time is not None
    start = datetime.datetime.fromisoformat(date_time).timestamp()
    return start + sum(segment.duration_seconds for segment in segments[began:])

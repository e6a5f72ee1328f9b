"""Fades: the gain of a participant's sound, which changes slowly enough not to click.

The gain of a sample is 0 where samples are missing, grows with the distance from what is missing, before and behind
it, and grows or falls by one step a sample at most. For this a mixer looks FADE_SAMPLES ahead of what it mixes.
"""

import numpy as np
from numpy.typing import NDArray

FADE_SAMPLES = 240
"""The length of a fade: 5 ms at 48 kHz."""


def fade_gain(is_present: NDArray[np.bool_], last_gain: float, *, is_wanted: bool) -> NDArray[np.float32]:
    """Return the gain of each sample but the last FADE_SAMPLES of `is_present`, which are the look-ahead.

    `last_gain` is the gain of the sample before. Without `is_wanted`, the gain falls to 0.
    """
    count = len(is_present) - FADE_SAMPLES
    steps = np.arange(1, count + 1, dtype=np.float32)
    if not is_wanted:
        gain = np.maximum(last_gain - steps / FADE_SAMPLES, 0.0)
    elif last_gain < 1.0:
        gain = np.minimum(last_gain + steps / FADE_SAMPLES, 1.0)
    else:
        gain = np.ones(count, np.float32)
    if not is_present.all():
        gain = np.minimum(gain, _distance_to_missing(is_present)[:count] / FADE_SAMPLES)
    return gain.astype(np.float32, copy=False)


def _distance_to_missing(is_present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return for each sample how many samples away the nearest missing one is; FADE_SAMPLES at most."""
    indexes = np.arange(len(is_present), dtype=np.float32)
    before = np.maximum.accumulate(np.where(is_present, -np.float32(FADE_SAMPLES), indexes))
    behind = np.minimum.accumulate(np.where(is_present, np.float32(len(is_present) + FADE_SAMPLES), indexes)[::-1])[
        ::-1
    ]
    return np.minimum(np.minimum(indexes - before, behind - indexes), np.float32(FADE_SAMPLES))

"""The gain at the edges of what is missing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.composition.mixing.fades import FADE_SAMPLES, fade_gain


def test_complete_sound_has_full_gain() -> None:
    gain = fade_gain(np.ones(500 + FADE_SAMPLES, np.bool_), 1.0, is_wanted=True)
    assert len(gain) == 500
    assert (gain == 1.0).all()


@settings(max_examples=20)
@given(missing=st.lists(st.integers(0, 2000), max_size=4), block=st.integers(30, 1200), is_wanted=st.booleans())
def test_the_gain_is_zero_at_what_is_missing_and_changes_by_one_step(
    *, missing: list[int], block: int, is_wanted: bool
) -> None:
    is_present = np.ones(3000 + FADE_SAMPLES, np.bool_)
    is_present[missing] = False
    gains, last = [], 1.0 if not missing or min(missing) > FADE_SAMPLES else 0.0
    first = last
    for start in range(0, 3000 - block + 1, block):
        gain = fade_gain(is_present[start : start + block + FADE_SAMPLES], last, is_wanted=is_wanted)
        last = float(gain[-1])
        gains.append(gain)
    whole = np.concatenate([[first], *gains])
    assert np.abs(np.diff(whole)).max() <= 1.001 / FADE_SAMPLES
    assert all(whole[1 + place] == 0 for place in missing if place + 1 < len(whole))
    assert (whole >= 0).all()
    assert (whole <= 1).all()

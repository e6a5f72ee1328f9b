"""The limiter: what is loud becomes quieter, and never clicks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.composition.mixing.limiter import CEILING, KNEE, Limiter, soft_clipped
from tests.media.composition.mixing.sine_sound import BLOCK, sine, steps


def test_what_is_not_too_loud_is_not_changed() -> None:
    mix = sine(0, BLOCK, amplitude=KNEE)
    assert (Limiter().limit(mix) == mix).all()


@given(st.lists(st.floats(0, 12, width=32), min_size=2, max_size=12))
@settings(max_examples=30)
def test_the_result_is_within_full_scale_and_no_steeper_than_the_mix(amplitudes: list[float]) -> None:
    limiter = Limiter()
    mixes = [sine(index * BLOCK, BLOCK, amplitude=amplitude) for index, amplitude in enumerate(amplitudes)]
    limited = np.concatenate([limiter.limit(mix) for mix in mixes])
    assert float(np.abs(limited).max()) <= 1.0
    assert steps(limited) <= steps(np.concatenate(mixes)) * 1.05 + 0.01


def test_a_lasting_excess_is_turned_down_instead_of_bent() -> None:
    limiter = Limiter()
    for index in range(4):
        limited = limiter.limit(sine(index * BLOCK, BLOCK, amplitude=4.0))
    assert float(np.abs(limited).max()) == pytest.approx(
        float(soft_clipped(np.full((1, 2), CEILING, np.float32))[0, 0]), rel=0.01
    )


def test_the_gain_comes_back() -> None:
    limiter = Limiter()
    limiter.limit(sine(0, BLOCK, amplitude=4.0))
    quiet = sine(0, BLOCK, amplitude=0.1)
    results = [limiter.limit(quiet) for _ in range(13)]
    assert float(np.abs(results[0]).max()) < 0.05
    assert (results[-1] == quiet).all()

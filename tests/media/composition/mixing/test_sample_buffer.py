"""The ring: every position is where it was written, also around the end of the ring."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.composition.mixing.sample_buffer import SampleBuffer

CAPACITY = 50


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, CAPACITY), st.integers(0, CAPACITY)), max_size=10), st.integers()
)
def test_the_ring_holds_what_was_written_and_not_erased(writes: list[tuple[bool, int, int]], base: int) -> None:
    buffer, expected = SampleBuffer(CAPACITY), np.zeros(CAPACITY, np.float32)
    for index, (is_write, start, end) in enumerate(writes):
        count = max(min(end, CAPACITY) - start, 0)
        value = index + 1 if is_write else 0
        if is_write:
            buffer.write(base + start, np.full((count, 2), value, np.float32))
        else:
            buffer.erase(base + start, count)
        expected[start : start + count] = value
    samples, is_present = buffer.read(base, CAPACITY)
    assert (samples == expected[:, np.newaxis]).all()
    assert (is_present == (expected > 0)).all()

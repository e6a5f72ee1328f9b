"""The limiter: keeps the sum of many participants within full scale without clipping.

It turns the mix down at once when it is too loud, and up again within a fraction of a second. What is still too loud
while it turns down is bent by a curve that never reaches full scale and is nowhere steeper than the input.
"""

import numpy as np

from stagebook.media.composition.mixing.sample_buffer import Samples

CEILING = 0.9
"""The peak that the limiter aims at."""
KNEE = 0.8
"""Up to here, the curve is a straight line."""
RECOVERY_SAMPLES = 12_000
"""The time from silence to full gain: 250 ms at 48 kHz."""


class Limiter:
    """The state of one limiter: its gain."""

    def __init__(self) -> None:
        self._gain = 1.0

    def limit(self, mix: Samples) -> Samples:
        """Return the limited mix, with values between -1 and 1."""
        peak = float(np.abs(mix).max())
        if self._gain == 1.0 and peak <= KNEE:
            return mix
        aim = min(1.0, CEILING / peak) if peak > 0 else 1.0
        aim = min(aim, self._gain + len(mix) / RECOVERY_SAMPLES)
        gains = np.linspace(self._gain, aim, len(mix) + 1, dtype=np.float32)[1:, np.newaxis]
        self._gain = aim
        return soft_clipped(mix * gains)


def soft_clipped(mix: Samples) -> Samples:
    """Return `mix` with the parts above KNEE bent towards full scale."""
    excess = np.abs(mix) - KNEE
    if not (excess > 0).any():
        return mix
    bent = KNEE + (1 - KNEE) * np.tanh(excess / (1 - KNEE))
    return np.where(excess > 0, np.copysign(bent, mix), mix).astype(np.float32, copy=False)

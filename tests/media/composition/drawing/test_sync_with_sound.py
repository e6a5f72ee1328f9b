"""Pictures and sound of one participant stay together in a composition."""

import numpy as np
import pytest

from stagebook.media.composition.drawing.compositor import Compositor
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.composition.mixing.audio_mixer import AudioMixer
from tests.media.composition.drawing.plain_pictures import BLUE, RED, canvas_settings, color_at, composed, plain

RATE = 48_000
PACKET = 960
BLOCK = 1024
MARKS_SECONDS = (1.0, 1.71, 2.505)
MAXIMUM_OFFSET_SECONDS = 0.04


@pytest.mark.parametrize(("pictures_per_second", "pictures_late_seconds"), [(30, 0.0), (15, 0.0), (24, 0.08)])
def test_a_flash_and_a_beep_of_the_same_time_are_shown_and_heard_together(
    pictures_per_second: int, pictures_late_seconds: float
) -> None:
    """The sound arrives at once, pictures when they are decoded. The timeline of the participant begins at 70 s."""
    compositor, mixer = Compositor(canvas_settings(64, 36), GridLayout()), AudioMixer()
    for part in (compositor, mixer):
        part.show_participants((composed("a"),))
    flashes, loud, mixed, packets, pictures = [], [], 0, 0, 0
    for frame in range(120):
        now = frame / 30
        while (packets + 1) * PACKET / RATE <= now:
            _send_sound(mixer, packets)
            packets += 1
        while pictures / pictures_per_second + pictures_late_seconds <= now:
            time = pictures / pictures_per_second
            is_flash = any(time <= mark < time + 1 / pictures_per_second for mark in MARKS_SECONDS)
            compositor.receive_picture("a", plain(BLUE if is_flash else RED, 64, 36), 70_000_000 + int(time * 1e6))
            pictures += 1
        while mixed + BLOCK <= now * RATE:
            loud += [(mixed + int(place)) / RATE for place in np.flatnonzero(np.abs(mixer.mix(BLOCK)[:, 0]) > 0.2)]
            mixed += BLOCK
        if color_at(compositor.draw(mixer.played_us()), 32, 18) == BLUE:
            flashes.append(now)
    firsts = [moment for before, moment in zip([-1.0, *loud], loud, strict=False) if moment - before > 0.1]
    shown = [moment for before, moment in zip([-1.0, *flashes], flashes, strict=False) if moment - before > 0.1]
    assert len(firsts) == len(shown) == len(MARKS_SECONDS)
    for beep, flash, mark in zip(firsts, shown, MARKS_SECONDS, strict=True):
        before_mark = mark % (1 / pictures_per_second)  # A flash begins with the picture in which the beep begins.
        assert abs(flash - (beep - before_mark)) <= MAXIMUM_OFFSET_SECONDS


def _send_sound(mixer: AudioMixer, packet: int) -> None:
    times = (packet * PACKET + np.arange(PACKET)) / RATE
    is_beep = np.any([(times >= mark) & (times < mark + 0.05) for mark in MARKS_SECONDS], axis=0)
    wave = np.where(is_beep, 0.5, 0.0).astype(np.float32)
    mixer.receive("a", np.stack([wave, wave], axis=1), 70_000_000 + packet * PACKET * 1_000_000 // RATE)

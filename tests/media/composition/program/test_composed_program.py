"""The frames of a program on a machine that is late."""

from fractions import Fraction

import pytest

from stagebook.media.composition.composition_port import CanvasSettings, ComposedParticipant
from stagebook.media.composition.drawing import compositor
from stagebook.media.composition.encoding.encoded_packet import EncodedPacket
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.composition.program.composed_program import ComposedProgram

CANVAS = CanvasSettings(width=320, height=180, frames_per_second=30, bitrate_bps=400_000)
LATE_SECONDS = 3 / 30


@pytest.fixture(name="drawn")
def drawn_fixture(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Who was to be shown in each picture that was drawn."""
    drawn: list[tuple[str, ...]] = []
    draw = compositor.Compositor.draw

    def note(self: compositor.Compositor, times_us: dict[str, int]) -> object:
        drawn.append(tuple(one.participant_id for one in self._participants))
        return draw(self, times_us)

    monkeypatch.setattr(compositor.Compositor, "draw", note)
    return drawn


def make_program(packets: list[EncodedPacket]) -> ComposedProgram:
    return ComposedProgram(
        CANVAS,
        GridLayout(),
        keyframe_interval=Fraction(2),
        deliver=packets.extend,
        on_heights=lambda _heights: None,
        on_failure=lambda: None,
    )


def test_a_late_frame_repeats_the_picture_unless_the_participants_have_changed(drawn: list[tuple[str, ...]]) -> None:
    packets: list[EncodedPacket] = []
    program = make_program(packets)
    program._make_frame(0.0)
    program._make_frame(LATE_SECONDS)
    assert drawn == [()]
    program.show((ComposedParticipant(participant_id="ann", source_id="ann"),))
    program._make_frame(LATE_SECONDS)
    assert drawn == [(), ("ann",)]
    assert program.clock.next_number == 3

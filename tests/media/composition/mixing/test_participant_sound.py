"""One timeline of a participant: late packets, new timelines, and the pace."""

import numpy as np
import pytest

from stagebook.media.composition.mixing.participant_sound import LATE_PACKETS, MAXIMUM_AHEAD, ParticipantSound
from tests.media.composition.mixing.sine_sound import BLOCK, PACKET, sine

DELAY = 2000


def started() -> ParticipantSound:
    """Return a sound that has one packet, and whose delay is over."""
    sound = ParticipantSound(0, delay_samples=DELAY)
    assert sound.write(0, sine(0, PACKET))
    sound.read(DELAY)
    return sound


def test_the_rest_of_a_packet_that_is_partly_late_is_played_in_its_place() -> None:
    sound = started()
    sound.read(PACKET + 300)
    assert sound.write(PACKET, sine(PACKET, PACKET))
    played = sound.read(PACKET - 300)
    assert np.allclose(played[250:400], sine(PACKET + 550, 150), atol=1e-5)


def test_late_packets_are_dropped_until_there_are_too_many() -> None:
    sound = started()
    sound.read(40 * PACKET)
    accepted = [sound.write(index * PACKET, sine(0, PACKET)) for index in range(LATE_PACKETS)]
    assert accepted == [True] * (LATE_PACKETS - 1) + [False]
    assert not sound.read(BLOCK).any()


def test_a_packet_in_time_forgives_the_late_ones() -> None:
    sound = started()
    sound.read(40 * PACKET)
    for index in range(3 * LATE_PACKETS):
        position = index * PACKET if index % 2 else 50 * PACKET + index
        assert sound.write(position, sine(0, PACKET))


def test_a_packet_far_ahead_is_of_a_new_timeline() -> None:
    sound = started()
    assert sound.write(MAXIMUM_AHEAD - PACKET, sine(0, PACKET))
    assert not sound.write(MAXIMUM_AHEAD - PACKET + 1, sine(0, PACKET))


def test_times_that_are_rounded_make_no_gap() -> None:
    sound = ParticipantSound(0, delay_samples=DELAY)
    for index in range(5):
        sound.write(index * PACKET + index % 2, sine(index * PACKET, PACKET))
    sound.read(DELAY)
    assert np.allclose(sound.read(4 * PACKET)[300:], sine(300, 4 * PACKET - 300), atol=1e-5)


@pytest.mark.parametrize(("lead", "pace"), [(DELAY * 3, 5), (-DELAY * 3 // 4, -5), (DELAY // 4, 0)])
def test_packets_that_are_too_early_or_too_late_change_the_pace(lead: int, pace: int) -> None:
    """`lead` is how much further from their time packets are than the delay."""
    sound = started()
    for _ in range(100):
        position = sound.played_position
        assert position is not None
        sound.write(position + DELAY + lead, sine(0, PACKET))
        sound.read(BLOCK)
    before = sound.played_position
    sound.read(BLOCK)
    assert before is not None
    assert sound.played_position == before + BLOCK + pace


def test_who_has_ended_is_over_after_the_fade() -> None:
    sound = started()
    sound.read(300)
    assert sound.is_heard
    sound.end()
    assert not sound.is_over
    sound.read(240)
    assert sound.is_over

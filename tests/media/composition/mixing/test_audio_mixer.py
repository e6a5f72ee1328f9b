"""The mix: complete, continuous, without clicks, whatever participants do."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagebook.media.composition.mixing.audio_mixer import DELAY_MS, MAXIMUM_PACKET, AudioMixer
from tests.media.composition.mixing.sine_sound import (
    BLOCK,
    PACKET,
    RATE,
    Conversation,
    composed,
    largest_step,
    sine,
    steps,
)

DELAY = DELAY_MS * RATE // 1000


def loudness(mixed: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(mixed))))


def test_nobody_is_silence() -> None:
    mixed = AudioMixer().mix(BLOCK)
    assert mixed.shape == (BLOCK, 2)
    assert mixed.dtype == np.float32
    assert not mixed.any()


def test_sound_is_played_unchanged_after_the_delay() -> None:
    conversation = Conversation("a")
    mixed = conversation.mix(40)
    start = int(np.flatnonzero(mixed.any(axis=1))[0])
    played = mixed[start + 300 :]
    assert np.allclose(played, sine(300 + 1, len(played)), atol=1e-5)
    assert abs(start - PACKET - DELAY) < BLOCK


def test_int16_is_scaled() -> None:
    mixer = AudioMixer()
    mixer.show_participants((composed("a"),))
    mixer.receive("a", np.full((9600, 2), 16_384, np.int16), 0)
    mixed = np.concatenate([mixer.mix(BLOCK) for _ in range(12)])
    assert float(mixed.max()) == pytest.approx(0.5)


def test_two_are_added() -> None:
    conversation = Conversation("a", "b")
    conversation.amplitude = 0.2
    mixed = conversation.mix(40)
    assert loudness(mixed[-BLOCK * 10 :]) == pytest.approx(0.4 / math.sqrt(2), rel=0.01)


def test_coming_and_going_do_not_click() -> None:
    conversation = Conversation("a")
    parts = [conversation.mix(20)]
    conversation.mixer.show_participants(())
    parts.append(conversation.mix(3))
    mixed = np.concatenate(parts)
    assert loudness(parts[0][-BLOCK:]) > 0.2
    assert not parts[1][BLOCK:].any()
    assert steps(mixed) <= largest_step()


def test_muting_does_not_click_and_is_silent() -> None:
    conversation = Conversation("a")
    parts = [conversation.mix(20)]
    conversation.mixer.show_participants((composed("a", is_audio_muted=True),))
    parts.append(conversation.mix(5))
    conversation.mixer.show_participants((composed("a"),))
    parts.append(conversation.mix(5))
    assert not parts[1][BLOCK:].any()
    assert loudness(parts[2][-BLOCK:]) > 0.2
    assert steps(np.concatenate(parts)) <= largest_step()


def test_a_new_participant_who_is_muted_is_not_heard() -> None:
    conversation = Conversation("a")
    conversation.mixer.show_participants((composed("a", is_audio_muted=True),))
    assert not conversation.mix(30).any()


def test_lost_packets_are_silence_without_clicks() -> None:
    conversation = Conversation("a")
    conversation.lost = {10, 20, 21, 22, 30, 32, 80, 85}
    mixed = conversation.mix(110)
    assert steps(mixed) <= largest_step()
    silent = sum(not mixed[start : start + 60].any() for start in range(0, len(mixed) - 60, 60))
    assert silent * 60 >= len(conversation.lost) * PACKET


@settings(max_examples=12)
@example(["mix"] * 3 + ["replay", "jump", "late", "mix", "mix", "late", "late", "replay", "replay"], 1.00390625)
@given(
    st.lists(st.sampled_from(["mix", "mute", "leave", "lose", "jump", "late", "replay"]), min_size=5, max_size=25),
    st.floats(0.995, 1.005),
)
def test_nothing_that_participants_do_clicks(acts: list[str], pace: float) -> None:
    conversation = Conversation("a")
    conversation.pace["a"] = pace
    parts = [conversation.mix(10)]
    for act in acts:
        match act:
            case "mute":
                conversation.mixer.show_participants((composed("a", is_audio_muted=True),))
            case "leave":
                conversation.mixer.show_participants(())
            case "lose":
                conversation.lost.add(conversation.sent["a"] // PACKET + 1)
            case "jump":
                conversation.offset["a"] += 480_000
            case "late":
                conversation.lateness = 6200 - conversation.lateness
            case "replay":
                conversation.sent["a"] -= PACKET // 2
                conversation.phase += 27
        parts.append(conversation.mix(2))
        conversation.mixer.show_participants((composed("a"),))
        parts.append(conversation.mix(1))
    assert steps(np.concatenate(parts)) <= largest_step()


def test_a_new_timeline_is_heard_after_the_delay() -> None:
    conversation = Conversation("a")
    conversation.mix(20)
    conversation.offset["a"] = -40_000_000
    mixed = conversation.mix(20)
    assert loudness(mixed[-BLOCK * 5 :]) > 0.2
    assert conversation.mixer.played_us()["a"] < 0


@pytest.mark.parametrize("pace", [0.997, 1.003])
def test_a_clock_that_is_wrong_stays_within_the_delay(pace: float) -> None:
    """In a minute the clock is wrong by more than the delay: without correction, sound would be lost."""
    conversation = Conversation("a")
    conversation.pace["a"] = pace
    conversation.mix(100)
    quiet = 0
    for _ in range(26):
        mixed = conversation.mix(100)
        quiet += int((np.abs(mixed).reshape(-1, BLOCK // 2, 2).max(axis=(1, 2)) < 0.3).sum())
        ahead = conversation.sent["a"] - conversation.mixer.played_us()["a"] * RATE / 1_000_000
        assert DELAY * 0.4 < ahead < DELAY * 1.8
    assert quiet == 0


def test_many_loud_participants_stay_within_full_scale_without_clicks() -> None:
    names = [f"p{index}" for index in range(12)]
    conversation = Conversation(*names)
    mixed = conversation.mix(60)
    assert float(np.abs(mixed).max()) < 1.0
    assert loudness(mixed[-BLOCK * 10 :]) > 0.4
    assert steps(mixed) <= 12 * largest_step()


def test_played_us_is_the_time_of_the_next_sample() -> None:
    conversation = Conversation("a")
    conversation.mix(20)
    conversation.lost = set(range(10_000))
    before = conversation.mixer.played_us()["a"]
    conversation.mix(3)
    assert conversation.mixer.played_us()["a"] - before == pytest.approx(3 * BLOCK * 1_000_000 / RATE, abs=2)
    conversation.mix(60)
    assert conversation.mixer.played_us() == {}


def test_sound_of_unknown_participants_is_dropped() -> None:
    mixer = AudioMixer()
    mixer.receive("nobody", sine(0, PACKET), 0)
    assert mixer.played_us() == {}


@pytest.mark.parametrize("shape", [(960,), (960, 1), (2, 960), (0, 2), (MAXIMUM_PACKET + 1, 2)])
def test_a_packet_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="stereo"):
        AudioMixer().receive("a", np.zeros(shape, np.float32), 0)


@pytest.mark.parametrize("count", [0, -1, MAXIMUM_PACKET + 1])
def test_a_block_of_another_size_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        AudioMixer().mix(count)

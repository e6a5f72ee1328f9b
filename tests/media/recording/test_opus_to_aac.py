"""Opus to AAC: the frames have no gaps, whatever packets come and when."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.recording.hls.encoded_media import FRAME_SAMPLES, EncodedSound, us_to_samples
from stagebook.media.recording.opus_to_aac import OpusToAac
from tests.media.recording.tapped_media import sounds

PACKETS = [frame.body for frame in sounds(1)]
STEPS_US = st.lists(st.sampled_from([-50_000, 0, 1_000, 19_990, 20_000, 20_010, 60_000, 700_000]), max_size=30)


def is_contiguous(frames: list[EncodedSound]) -> bool:
    """Whether each frame begins where the one before it ends."""
    return all(after.time_samples - before.time_samples == FRAME_SAMPLES for before, after in pairwise(frames))


@settings(max_examples=15, deadline=None)
@given(STEPS_US, st.integers(min_value=0, max_value=3_600_000_000))
def test_frames_are_contiguous_from_the_start_to_the_end(steps_us: list[int], start_us: int) -> None:
    transcoder = OpusToAac(start_us=start_us)
    time_us, newest_us = start_us, start_us
    frames = []
    for number, step_us in enumerate(steps_us):
        frames += transcoder.transcode(PACKETS[number % len(PACKETS)], time_us=time_us)
        newest_us = max(newest_us, time_us)
        time_us += step_us
    frames += transcoder.finish(newest_us + 1_000_000)
    assert frames[0].time_samples == us_to_samples(start_us)
    assert is_contiguous(frames)
    end_samples = frames[-1].time_samples + FRAME_SAMPLES
    assert 0 <= end_samples - us_to_samples(newest_us + 1_000_000) <= FRAME_SAMPLES


@pytest.mark.parametrize("packet", [b"", b"\x00", b"\xff" * 40, bytes(range(256)) * 4])
def test_what_is_no_opus_does_not_end_the_sound(packet: bytes) -> None:
    transcoder = OpusToAac(start_us=0)
    frames = transcoder.transcode(packet, time_us=0)
    for number, valid in enumerate(PACKETS):
        frames += transcoder.transcode(valid, time_us=20_000 + number * 20_000)
    frames += transcoder.finish(1_020_000)
    assert is_contiguous(frames)
    assert frames[-1].time_samples + FRAME_SAMPLES == pytest.approx(us_to_samples(1_020_000), abs=FRAME_SAMPLES)


def test_silence_is_filled_up_to_a_time_once() -> None:
    transcoder = OpusToAac(start_us=0)
    frames = transcoder.fill_until(1_000_000)
    assert len(frames) >= 44
    assert transcoder.fill_until(500_000) == []
    assert transcoder.fill_until(1_000_000) == []


def test_the_format_is_aac_lc_in_stereo() -> None:
    description = OpusToAac(start_us=0).format.description
    assert (description[0] >> 3, (description[0] & 7) << 1 | description[1] >> 7, description[1] >> 3 & 15) == (2, 3, 2)


def test_jitter_of_less_than_a_millisecond_changes_no_sample() -> None:
    transcoder = OpusToAac(start_us=0)
    for number, packet in enumerate(PACKETS):
        transcoder.transcode(packet, time_us=number * 20_000 + number % 2 * 900)
    assert transcoder.end_us == len(PACKETS) * 20_000

"""One encoder's audio, message by message: what a broken encoder may do, and what ends it."""

from itertools import pairwise

import pytest

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.aac_to_opus import PACKET_TICKS, OpusPacket
from stagebook.media.ingest.pipeline.audio_track import (
    MAX_BROKEN_FRAMES,
    MAX_CONFIGURATIONS,
    MAX_FRAME_BYTES,
    AudioTrack,
)
from stagebook.media.port import IngestFault
from tests.media.ingest.encoded_stream import aac_frames, tone

DESCRIPTION, FRAMES = aac_frames(tone(sampling_rate=48_000, seconds=1), sampling_rate=48_000, channels=2)
OTHER_DESCRIPTION, OTHER_FRAMES = aac_frames(tone(sampling_rate=44_100, seconds=1), sampling_rate=44_100)
GARBAGE = b"\xff\xff garbage"


def _track() -> AudioTrack:
    track = AudioTrack()
    track.configure(DESCRIPTION)
    return track


def _play(track: AudioTrack, frames: list[bytes], *, start_ms: int, frame_ms: float = 64 / 3) -> list[OpusPacket]:
    return [
        packet
        for number, frame in enumerate(frames)
        for packet in track.frame(frame, timestamp_ms=start_ms + round(number * frame_ms))
    ]


def test_nothing_comes_before_the_configuration() -> None:
    track = AudioTrack()
    assert not track.is_configured
    assert track.frame(FRAMES[0], timestamp_ms=0) == []
    track.configure(DESCRIPTION)
    assert track.is_configured


def test_no_packet_lies_before_zero() -> None:
    packets = _play(_track(), FRAMES, start_ms=0)
    assert 0 <= packets[0].timestamp < 2 * PACKET_TICKS


def test_the_same_configuration_again_changes_nothing() -> None:
    track = _track()
    packets = _play(track, FRAMES[:20], start_ms=0)
    track.configure(DESCRIPTION)
    packets += _play(track, FRAMES[20:40], start_ms=427)
    assert {after.timestamp - before.timestamp for before, after in pairwise(packets)} == {PACKET_TICKS}


def test_a_new_configuration_goes_on_where_the_old_one_ended() -> None:
    track = _track()
    before = _play(track, FRAMES[:40], start_ms=1_000)
    track.configure(OTHER_DESCRIPTION)
    after = _play(track, OTHER_FRAMES[:40], start_ms=1_800, frame_ms=1_024 / 44.1)
    assert after[0].timestamp >= before[-1].timestamp + PACKET_TICKS
    assert after[-1].timestamp / 48 == pytest.approx(1_800 + 40 * 23.2, abs=50)


def test_configurations_that_go_on_changing_are_bad_input() -> None:
    track = AudioTrack()
    for number in range(MAX_CONFIGURATIONS):
        track.configure(OTHER_DESCRIPTION if number % 2 else DESCRIPTION)
    with pytest.raises(InputFaultError, match=f"more than {MAX_CONFIGURATIONS} times") as caught:
        track.configure(DESCRIPTION)
    assert caught.value.fault is IngestFault.INPUT


def test_a_few_broken_frames_are_left_out() -> None:
    track = _track()
    frames = [GARBAGE if number in (10, 20, 30) else frame for number, frame in enumerate(FRAMES)]
    assert len(_play(track, frames, start_ms=0)) >= len(FRAMES) - 6


def test_many_broken_frames_are_bad_input() -> None:
    track = _track()
    _play(track, FRAMES[:5] + [GARBAGE] * (MAX_BROKEN_FRAMES - 1), start_ms=0)
    with pytest.raises(InputFaultError, match="garbage: 10 of 10 AAC frames") as caught:
        track.frame(GARBAGE, timestamp_ms=400)
    assert caught.value.fault is IngestFault.INPUT


def test_broken_frames_far_apart_do_not_add_up() -> None:
    track = _track()
    for second in range(3 * MAX_BROKEN_FRAMES):
        _play(track, [GARBAGE] + [FRAMES[20]] * 55, start_ms=second * 1_200)


def test_many_frames_in_one_are_not_even_decoded() -> None:
    # Whoever decodes this makes half a gigabyte of samples before anything can be counted.
    silence = aac_frames(bytes(4 * 48_000), sampling_rate=48_000, channels=2)[1][-1]
    track = _track()
    with pytest.raises(InputFaultError, match=f"at most {MAX_FRAME_BYTES}") as fault:
        track.frame(silence * 20_000, timestamp_ms=0)
    assert fault.value.fault is IngestFault.INPUT
    assert track.frame(silence, timestamp_ms=0) == _track().frame(silence, timestamp_ms=0)

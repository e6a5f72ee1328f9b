"""One encoder's audio: what a faulty encoder may send, and what is an input fault."""

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
INVALID_FRAME = b"\xff\xff garbage"


def make_track() -> AudioTrack:
    track = AudioTrack()
    track.configure(DESCRIPTION)
    return track


def transcode_all(
    track: AudioTrack, frames: list[bytes], *, start_ms: int, frame_ms: float = 64 / 3
) -> list[OpusPacket]:
    return [
        packet
        for number, frame in enumerate(frames)
        for packet in track.transcode(frame, timestamp_ms=start_ms + round(number * frame_ms))
    ]


def test_frames_before_the_configuration_are_skipped() -> None:
    track = AudioTrack()
    assert not track.is_configured
    assert track.transcode(FRAMES[0], timestamp_ms=0) == []
    track.configure(DESCRIPTION)
    assert track.is_configured


def test_no_packet_has_a_negative_timestamp() -> None:
    packets = transcode_all(make_track(), FRAMES, start_ms=0)
    assert 0 <= packets[0].timestamp < 2 * PACKET_TICKS


def test_a_repeated_configuration_has_no_effect() -> None:
    track = make_track()
    packets = transcode_all(track, FRAMES[:20], start_ms=0)
    track.configure(DESCRIPTION)
    packets += transcode_all(track, FRAMES[20:40], start_ms=427)
    assert {after.timestamp - before.timestamp for before, after in pairwise(packets)} == {PACKET_TICKS}


def test_a_new_configuration_continues_where_the_old_one_ended() -> None:
    track = make_track()
    before = transcode_all(track, FRAMES[:40], start_ms=1_000)
    track.configure(OTHER_DESCRIPTION)
    after = transcode_all(track, OTHER_FRAMES[:40], start_ms=1_800, frame_ms=1_024 / 44.1)
    assert after[0].timestamp >= before[-1].timestamp + PACKET_TICKS
    assert after[-1].timestamp / 48 == pytest.approx(1_800 + 40 * 23.2, abs=50)


def test_too_many_configurations_are_an_input_fault() -> None:
    track = AudioTrack()
    for number in range(MAX_CONFIGURATIONS):
        track.configure(OTHER_DESCRIPTION if number % 2 else DESCRIPTION)
    with pytest.raises(InputFaultError, match=f"more than {MAX_CONFIGURATIONS} times") as caught:
        track.configure(DESCRIPTION)
    assert caught.value.fault is IngestFault.INPUT


def test_a_few_broken_frames_are_skipped() -> None:
    track = make_track()
    frames = [INVALID_FRAME if number in (10, 20, 30) else frame for number, frame in enumerate(FRAMES)]
    assert len(transcode_all(track, frames, start_ms=0)) >= len(FRAMES) - 6


def test_many_broken_frames_are_an_input_fault() -> None:
    track = make_track()
    transcode_all(track, FRAMES[:5] + [INVALID_FRAME] * (MAX_BROKEN_FRAMES - 1), start_ms=0)
    with pytest.raises(InputFaultError, match="malformed: 10 of 10 AAC frames") as caught:
        track.transcode(INVALID_FRAME, timestamp_ms=400)
    assert caught.value.fault is IngestFault.INPUT


def test_broken_frames_far_apart_are_accepted() -> None:
    track = make_track()
    for second in range(3 * MAX_BROKEN_FRAMES):
        transcode_all(track, [INVALID_FRAME] + [FRAMES[20]] * 55, start_ms=second * 1_200)


def test_a_message_with_many_frames_is_refused_before_it_is_decoded() -> None:
    # FFmpeg would decode this to half a gigabyte of samples.
    silence = aac_frames(bytes(4 * 48_000), sampling_rate=48_000, channels=2)[1][-1]
    track = make_track()
    with pytest.raises(InputFaultError, match=f"at most {MAX_FRAME_BYTES}") as fault:
        track.transcode(silence * 20_000, timestamp_ms=0)
    assert fault.value.fault is IngestFault.INPUT
    assert track.transcode(silence, timestamp_ms=0) == make_track().transcode(silence, timestamp_ms=0)

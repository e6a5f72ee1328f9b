"""AAC to Opus: the time and level of the audio are preserved, and the packets are 20 ms apart."""

import math
from array import array
from itertools import pairwise

import pytest

from stagebook.media.codecs.aac import parse_audio_specific_config
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.aac_to_opus import PACKET_TICKS, AacToOpus, BrokenFrameError, OpusPacket
from stagebook.media.media_bus import Unit
from stagebook.media.port import IngestFault
from tests.media.ingest import received
from tests.media.ingest.encoded_stream import AAC_SAMPLES, aac_frames, tone

START_MS = 5_000


def transcode_all(
    frames: list[bytes], *, description: bytes, sampling_rate: int, parts_per_million: int = 0
) -> list[OpusPacket]:
    """Transcode frames with timestamps in whole milliseconds. The first frame, the priming, is before START_MS."""
    transcoder = AacToOpus(parse_audio_specific_config(description))
    frame_ms = AAC_SAMPLES * 1_000 / sampling_rate * (1 + parts_per_million / 1e6)
    timestamped = [(START_MS + round((number - 1) * frame_ms), frame) for number, frame in enumerate(frames)]
    return [
        packet
        for timestamp_ms, frame in timestamped
        for packet in transcoder.transcode(frame, timestamp_ms=timestamp_ms)
    ]


def decode(packets: list[OpusPacket]) -> "tuple[int, array[int]]":
    """Decode packets. Returns the tick of the first sample and all samples of the left channel."""
    units = [
        Unit(kind=MediaKind.AUDIO, timestamp=packet.timestamp, is_keyframe=False, payloads=(packet.data,))
        for packet in packets
    ]
    samples = array("h")
    for _, chunk in received.audio_samples(units):
        samples += chunk
    return packets[0].timestamp, samples


def max_click(samples: "array[int]") -> float:
    """The largest deviation of three consecutive samples from a pure 1 kHz tone at 48 kHz: x0 = c x1 - x2."""
    factor = 2 * math.cos(2 * math.pi * 1_000 / 48_000)
    return max(abs(a - factor * b + c) for a, b, c in zip(samples, samples[1:], samples[2:], strict=False))


@pytest.mark.parametrize("sampling_rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_time_and_level_of_a_tone_are_preserved(sampling_rate: int, channels: int) -> None:
    silence = bytes(4 * sampling_rate // 2)
    audio = silence + tone(sampling_rate=sampling_rate, seconds=1.5)
    description, frames = aac_frames(audio, sampling_rate=sampling_rate, channels=channels)
    start, samples = decode(transcode_all(frames, description=description, sampling_rate=sampling_rate))
    first = next(index for index, sample in enumerate(samples) if abs(sample) > 4_000)
    assert (start + first) / 48 == pytest.approx(START_MS + 500, abs=1)
    assert max(samples) / 32_768 == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("parts_per_million", [0, 300])
def test_packets_are_20_ms_apart_and_a_wrong_clock_rate_makes_no_click(parts_per_million: int) -> None:
    description, frames = aac_frames(tone(sampling_rate=44_100, seconds=20), sampling_rate=44_100)
    packets = transcode_all(frames, description=description, sampling_rate=44_100, parts_per_million=parts_per_million)
    assert {after.timestamp - before.timestamp for before, after in pairwise(packets)} == {PACKET_TICKS}
    _, samples = decode(packets)
    assert max_click(samples[48_000:-48_000]) < 20


def test_a_gap_moves_the_timestamps() -> None:
    description, frames = aac_frames(tone(sampling_rate=48_000, seconds=1), sampling_rate=48_000)
    transcoder = AacToOpus(parse_audio_specific_config(description))
    before = [
        packet for number in range(20) for packet in transcoder.transcode(frames[number], timestamp_ms=number * 21)
    ]
    after = [
        packet for number in range(5) for packet in transcoder.transcode(frames[20], timestamp_ms=9_000 + number * 21)
    ]
    assert before[-1].timestamp < 420 * 48
    assert after[0].timestamp == pytest.approx(9_000 * 48, abs=480)


def test_a_broken_frame_is_an_error_and_the_next_one_is_decoded() -> None:
    description, frames = aac_frames(tone(sampling_rate=48_000, seconds=1), sampling_rate=48_000)
    transcoder = AacToOpus(parse_audio_specific_config(description))
    transcoder.transcode(frames[0], timestamp_ms=0)
    with pytest.raises(BrokenFrameError):
        transcoder.transcode(b"\xff\xff garbage", timestamp_ms=21)
    packets = [packet for frame in frames[2:6] for packet in transcoder.transcode(frame, timestamp_ms=43)]
    assert packets


def test_implicitly_signalled_he_aac_is_refused() -> None:
    _, frames = aac_frames(tone(sampling_rate=48_000, seconds=1), sampling_rate=48_000, channels=2)
    # The two-byte configuration does not exclude the extension. The frame carries it in a fill element.
    transcoder = AacToOpus(parse_audio_specific_config(b"\x11\x90"))
    with pytest.raises(InputFaultError, match="HE-AAC") as caught:
        transcoder.transcode(with_sbr(frames[2]), timestamp_ms=0)
    assert caught.value.fault is IngestFault.AUDIO_CODEC


def test_a_different_number_of_channels_than_configured_is_refused() -> None:
    _, frames = aac_frames(tone(sampling_rate=48_000, seconds=1), sampling_rate=48_000, channels=2)
    transcoder = AacToOpus(parse_audio_specific_config(b"\x11\x88"))
    with pytest.raises(InputFaultError, match="2 channels where its configuration says 1") as caught:
        transcoder.transcode(frames[2], timestamp_ms=0)
    assert caught.value.fault is IngestFault.AUDIO_CODEC


def test_a_configuration_that_does_not_exclude_extensions_is_accepted() -> None:
    _, frames = aac_frames(tone(sampling_rate=48_000, seconds=1), sampling_rate=48_000, channels=1)
    assert len(transcode_all(frames, description=b"\x11\x88", sampling_rate=48_000)) > 40


def with_sbr(frame: bytes) -> bytes:
    """Insert an SBR extension before the end of the frame (ISO/IEC 14496-3, 4.4.2.7: ID_FIL, count, EXT_SBR_DATA)."""
    bits = "".join(f"{byte:08b}" for byte in frame).rstrip("0")
    assert bits.endswith("111")  # ID_END
    bits = bits[:-3] + "110" + f"{8:04b}" + f"{13:04b}" + "0" * 60 + "111"
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))

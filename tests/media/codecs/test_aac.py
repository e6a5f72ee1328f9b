"""AudioSpecificConfig: AAC-LC at 44.1 or 48 kHz with one or two channels is ours, everything else is named."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.aac import AacConfiguration, read_configuration
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.port import IngestFault
from tests.media.ingest.encoded_stream import aac_frames

RATES = {48_000: 3, 44_100: 4, 32_000: 5, 22_050: 7, 8_000: 11}


def _record(*fields: tuple[int, int]) -> bytes:
    """Fields of (bits, value), filled up to whole bytes."""
    text = "".join(f"{value:0{bits}b}" for bits, value in fields)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8))


def _low_complexity(*more: tuple[int, int], rate: int = 48_000, channels: int = 2) -> bytes:
    return _record((5, 2), (4, RATES[rate]), (4, channels), (3, 0), *more)


@pytest.mark.parametrize("sampling_rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_an_encoder_says_of_itself_is_read(sampling_rate: int, channels: int) -> None:
    description, _ = aac_frames(b"", sampling_rate=sampling_rate, channels=channels)
    expected = AacConfiguration(sampling_rate=sampling_rate, channels=channels, description=description)
    assert read_configuration(description) == expected


def test_a_rate_may_be_spelled_out() -> None:
    assert read_configuration(_record((5, 2), (4, 15), (24, 44_100), (4, 1), (3, 0))).sampling_rate == 44_100


def test_a_delay_of_a_core_coder_is_stepped_over() -> None:
    record = _record((5, 2), (4, 3), (4, 2), (1, 0), (1, 1), (14, 0x2B7), (1, 0), (11, 0x2B7), (5, 5), (1, 0))
    assert read_configuration(record).channels == 2


def test_spectral_bands_that_are_denied_are_no_obstacle() -> None:
    assert read_configuration(_low_complexity((11, 0x2B7), (5, 5), (1, 0))).sampling_rate == 48_000


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (_record((5, 1), (4, 3), (4, 2), (3, 0)), "AAC Main"),
        (_record((5, 4), (4, 3), (4, 2), (3, 0)), "AAC LTP"),
        (_record((5, 5), (4, 6), (4, 2), (4, 3), (5, 2), (3, 0)), "HE-AAC"),
        (_record((5, 29), (4, 6), (4, 1), (4, 3), (5, 2), (3, 0)), "HE-AAC v2"),
        (_low_complexity((11, 0x2B7), (5, 5), (1, 1)), "HE-AAC"),
        (_record((5, 23), (4, 3), (4, 2), (3, 0)), "AAC LD"),
        (_record((5, 31), (6, 10), (4, 3), (4, 2), (3, 0)), "USAC"),
        (_record((5, 31), (6, 2), (4, 3), (4, 2), (3, 0)), "MP3"),
        (_record((5, 8), (4, 3), (4, 2), (3, 0)), "object type 8"),
        (_low_complexity(rate=22_050), "22050 Hz.*44100 or 48000 Hz"),
        (_low_complexity(rate=32_000), "32000 Hz"),
        (_low_complexity(rate=8_000), "8000 Hz"),
        (_low_complexity(channels=6), "6 channels.*one or two"),
        (_low_complexity(channels=7), "8 channels"),
        (_low_complexity(channels=0), "channel configuration 0"),
        (_low_complexity(channels=15), "channel configuration 15"),
    ],
)
def test_any_other_audio_is_refused_by_its_name(record: bytes, words: str) -> None:
    with pytest.raises(InputFaultError, match=words) as caught:
        read_configuration(record)
    assert caught.value.fault is IngestFault.AUDIO_CODEC


def test_surround_sound_of_a_real_encoder_is_refused() -> None:
    description, _ = aac_frames(b"", sampling_rate=48_000, channels=6)
    with pytest.raises(InputFaultError, match="6 channels"):
        read_configuration(description)


@pytest.mark.parametrize("record", [b"", b"\x11", _record((5, 2), (4, 13), (4, 2), (3, 0)), b"\x17\x80\x00"])
def test_a_broken_record_is_bad_input(record: bytes) -> None:
    with pytest.raises(InputFaultError) as caught:
        read_configuration(record)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(max_size=80))
def test_noise_is_read_or_refused(noise: bytes) -> None:
    with suppress(InputFaultError):
        configuration = read_configuration(noise)
        assert (configuration.sampling_rate, configuration.channels) in {
            (r, c) for r in (44_100, 48_000) for c in (1, 2)
        }

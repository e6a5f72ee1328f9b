"""AudioSpecificConfig: AAC-LC at 44.1 or 48 kHz with one or two channels is accepted, anything else is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.aac import AacConfiguration, parse_audio_specific_config
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.port import IngestFault
from tests.media.ingest.encoded_stream import aac_frames

RATES = {48_000: 3, 44_100: 4, 32_000: 5, 22_050: 7, 8_000: 11}


def _encode(*fields: tuple[int, int]) -> bytes:
    """Encode fields of (bits, value), padded to whole bytes."""
    digits = "".join(f"{value:0{bits}b}" for bits, value in fields)
    return int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8))


def _aac_lc(*more: tuple[int, int], rate: int = 48_000, channels: int = 2) -> bytes:
    return _encode((5, 2), (4, RATES[rate]), (4, channels), (3, 0), *more)


@pytest.mark.parametrize("sampling_rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_record_of_a_real_encoder_is_parsed(sampling_rate: int, channels: int) -> None:
    description, _ = aac_frames(b"", sampling_rate=sampling_rate, channels=channels)
    expected = AacConfiguration(sampling_rate=sampling_rate, channels=channels, description=description)
    assert parse_audio_specific_config(description) == expected


def test_an_explicit_sampling_frequency_is_read() -> None:
    assert parse_audio_specific_config(_encode((5, 2), (4, 15), (24, 44_100), (4, 1), (3, 0))).sampling_rate == 44_100


def test_a_core_coder_delay_is_skipped() -> None:
    record = _encode((5, 2), (4, 3), (4, 2), (1, 0), (1, 1), (14, 0x2B7), (1, 0), (11, 0x2B7), (5, 5), (1, 0))
    assert parse_audio_specific_config(record).channels == 2


def test_an_extension_without_sbr_is_accepted() -> None:
    assert parse_audio_specific_config(_aac_lc((11, 0x2B7), (5, 5), (1, 0))).sampling_rate == 48_000


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (_encode((5, 1), (4, 3), (4, 2), (3, 0)), "AAC Main"),
        (_encode((5, 4), (4, 3), (4, 2), (3, 0)), "AAC LTP"),
        (_encode((5, 5), (4, 6), (4, 2), (4, 3), (5, 2), (3, 0)), "HE-AAC"),
        (_encode((5, 29), (4, 6), (4, 1), (4, 3), (5, 2), (3, 0)), "HE-AAC v2"),
        (_aac_lc((11, 0x2B7), (5, 5), (1, 1)), "HE-AAC"),
        (_encode((5, 23), (4, 3), (4, 2), (3, 0)), "AAC LD"),
        (_encode((5, 31), (6, 10), (4, 3), (4, 2), (3, 0)), "USAC"),
        (_encode((5, 31), (6, 2), (4, 3), (4, 2), (3, 0)), "MP3"),
        (_encode((5, 8), (4, 3), (4, 2), (3, 0)), "object type 8"),
        (_aac_lc(rate=22_050), "22050 Hz.*44100 or 48000 Hz"),
        (_aac_lc(rate=32_000), "32000 Hz"),
        (_aac_lc(rate=8_000), "8000 Hz"),
        (_aac_lc(channels=6), "6 channels.*one or two"),
        (_aac_lc(channels=7), "8 channels"),
        (_aac_lc(channels=0), "channel configuration 0"),
        (_aac_lc(channels=15), "channel configuration 15"),
    ],
)
def test_other_audio_is_refused_by_name(record: bytes, detail: str) -> None:
    with pytest.raises(InputFaultError, match=detail) as caught:
        parse_audio_specific_config(record)
    assert caught.value.fault is IngestFault.AUDIO_CODEC


def test_surround_audio_of_a_real_encoder_is_refused() -> None:
    description, _ = aac_frames(b"", sampling_rate=48_000, channels=6)
    with pytest.raises(InputFaultError, match="6 channels"):
        parse_audio_specific_config(description)


@pytest.mark.parametrize("record", [b"", b"\x11", _encode((5, 2), (4, 13), (4, 2), (3, 0)), b"\x17\x80\x00"])
def test_a_malformed_record_is_invalid_input(record: bytes) -> None:
    with pytest.raises(InputFaultError) as caught:
        parse_audio_specific_config(record)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(max_size=80))
def test_random_bytes_are_parsed_or_refused(data: bytes) -> None:
    with suppress(InputFaultError):
        configuration = parse_audio_specific_config(data)
        assert (configuration.sampling_rate, configuration.channels) in {
            (r, c) for r in (44_100, 48_000) for c in (1, 2)
        }

"""ADTS headers: the raw frames, the equivalent AudioSpecificConfig, and malformed headers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.aac import parse_audio_specific_config
from stagebook.media.codecs.adts import MAX_FRAMES, AdtsFrame, begins_with_adts, split_adts
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.port import IngestFault

LC_48_STEREO = bytes.fromhex("1190")
"""audioObjectType 2, samplingFrequencyIndex 3, channelConfiguration 2."""


def adts(body: bytes, *, has_crc: bool = False, length: int | None = None, blocks: int = 1) -> bytes:
    """An AAC-LC frame at 48 kHz with two channels."""
    size = 7 + 2 * has_crc + len(body) if length is None else length
    fields = (0xFFF << 4 | (not has_crc)) << 40
    fields |= 1 << 38 | 3 << 34 | 2 << 30 | size << 13 | 0x7FF << 2 | blocks - 1
    return fields.to_bytes(7) + bytes(2 * has_crc) + body


@pytest.mark.parametrize("has_crc", [False, True])
def test_each_frame_has_its_body_and_its_configuration(*, has_crc: bool) -> None:
    data = adts(b"one", has_crc=has_crc) + adts(b"") + adts(b"two")
    assert begins_with_adts(data)
    assert split_adts(data) == [AdtsFrame(description=LC_48_STEREO, body=body) for body in (b"one", b"two")]


def test_the_configuration_is_an_audio_specific_config() -> None:
    configuration = parse_audio_specific_config(split_adts(adts(b"x"))[0].description)
    assert (configuration.sampling_rate, configuration.channels) == (48_000, 2)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x21\x10\x05", b"\xff\xe1abc", b"\xff\xf7abc", b"\xff\xfbabc"])
def test_other_data_does_not_begin_with_adts(data: bytes) -> None:
    """The last two have the layers of MPEG-1 audio."""
    assert not begins_with_adts(data)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (adts(b"x")[:6], "malformed ADTS header"),
        (adts(b"x") + b"\x21\x10\x05", "malformed ADTS header"),
        (adts(b"abc")[:-1], "its frame has 10 bytes, which is not so"),
        (adts(b"abc", length=6), "its frame has 6 bytes"),
        (adts(b"abc", length=0), "its frame has 0 bytes"),
        (adts(b"abc", blocks=2), "several raw data blocks"),
        (adts(b"x") * (MAX_FRAMES + 1), f"more than {MAX_FRAMES} ADTS frames"),
    ],
)
def test_malformed_adts_is_invalid_input(data: bytes, detail: str) -> None:
    with pytest.raises(InputFaultError, match=detail) as caught:
        split_adts(data)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_random_bytes_are_split_or_refused(before: bytes, after: bytes) -> None:
    for data in (before, b"\xff\xf1" + before, adts(before) + after):
        with suppress(InputFaultError):
            assert sum(len(frame.body) for frame in split_adts(data)) <= len(data)

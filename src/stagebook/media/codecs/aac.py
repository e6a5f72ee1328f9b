"""AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): which AAC an encoder sends, and whether it is ours to carry.

Reads the configuration only; the frames are the decoder's.
"""

import msgspec

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.input_fault import broken, wrong_audio

_LOW_COMPLEXITY = 2
_ESCAPE = 31
_SBR = 5
_PARAMETRIC_STEREO = 29
_SYNC_EXTENSION = 0x2B7
_EXPLICIT_RATE = 15
_MAX_CONFIGURATION_BYTES = 64

_SAMPLING_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_ACCEPTED_RATES = frozenset({44_100, 48_000})
_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}
"""Channels by channelConfiguration (table 1.19); 0 leaves them to the frames."""

_OBJECT_TYPES = {
    1: "AAC Main",
    3: "AAC SSR",
    4: "AAC LTP",
    _SBR: "HE-AAC (AAC with SBR)",
    6: "AAC Scalable",
    17: "ER AAC LC",
    23: "ER AAC LD",
    _PARAMETRIC_STEREO: "HE-AAC v2 (AAC with parametric stereo)",
    32: "MPEG-1 layer 1",
    33: "MPEG-1 layer 2",
    34: "MP3",
    39: "ER AAC ELD",
    42: "USAC (xHE-AAC)",
}


class AacConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """AAC-LC with one or two channels at 44.1 or 48 kHz. `description` is the record itself, for the decoder."""

    sampling_rate: int
    channels: int
    description: bytes


def read_configuration(description: bytes) -> AacConfiguration:
    """Read an AudioSpecificConfig.

    Raises InputFaultError: AUDIO_CODEC for everything but AAC-LC with 1 or 2 channels at 44,100 or 48,000 Hz, INPUT
    for a record that is cut short.
    """
    reader = BitReader(description[:_MAX_CONFIGURATION_BYTES])
    try:
        object_type = _object_type(reader)
        sampling_rate = _sampling_rate(reader)
        channel_configuration = reader.bits(4)
        if object_type != _LOW_COMPLEXITY:
            name = _OBJECT_TYPES.get(object_type, f"of the MPEG-4 object type {object_type}")
            raise wrong_audio(f"the audio is {name}; it must be AAC-LC")
        _skip_specific_part(reader)
    except OutOfBitsError:
        raise broken("the AAC configuration is cut short") from None
    if _has_spectral_bands(reader):
        raise wrong_audio(f"the audio is {_OBJECT_TYPES[_SBR]}; it must be AAC-LC")
    if sampling_rate not in _ACCEPTED_RATES:
        raise wrong_audio(f"the audio is sampled at {sampling_rate} Hz; it must be 44100 or 48000 Hz")
    channels = _CHANNELS.get(channel_configuration)
    if channels not in (1, 2):
        found = f"{channels} channels" if channels else f"the channel configuration {channel_configuration}"
        raise wrong_audio(f"the audio has {found}; it must have one or two channels")
    return AacConfiguration(sampling_rate=sampling_rate, channels=channels, description=description)


def _object_type(reader: BitReader) -> int:
    value = reader.bits(5)
    return 32 + reader.bits(6) if value == _ESCAPE else value


def _sampling_rate(reader: BitReader) -> int:
    index = reader.bits(4)
    if index == _EXPLICIT_RATE:
        return reader.bits(24)
    if index >= len(_SAMPLING_RATES):
        raise broken(f"the AAC configuration names the reserved sampling rate {index}")
    return _SAMPLING_RATES[index]


def _skip_specific_part(reader: BitReader) -> None:
    """GASpecificConfig (4.4.1) of AAC-LC with a channel configuration: three flags, and a delay behind the second."""
    reader.bits(1)
    if reader.bits(1):
        reader.bits(14)
    reader.bits(1)


def _has_spectral_bands(reader: BitReader) -> bool:
    """Whether the backward compatible extension says that SBR is there. Most records have none, or deny it."""
    try:
        return reader.bits(11) == _SYNC_EXTENSION and _object_type(reader) == _SBR and bool(reader.bits(1))
    except OutOfBitsError:
        return False

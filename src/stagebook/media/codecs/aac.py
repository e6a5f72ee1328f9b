"""The AudioSpecificConfig of AAC (ISO/IEC 14496-3 section 1.6.2.1): which AAC an encoder sends.

    audioObjectType         5 bits, or 31 and 6 more bits
    samplingFrequencyIndex  4 bits, an index of a table, or 15 and 24 bits of the frequency
    channelConfiguration    4 bits
    GASpecificConfig        of AAC-LC: 3 flags, and a delay after the second one (section 4.4.1)
    syncExtensionType ...   optional: SBR signalled in a backward compatible way (section 1.6.5)

FLV carries the record in the AAC sequence header. Stagebook accepts AAC-LC at 44.1 or 48 kHz with one or two channels,
as AWS documents for RTMP ingest.
"""

import msgspec

from stagebook.media.codecs.bit_reader import BitReader, OutOfBitsError
from stagebook.media.codecs.input_fault import invalid_input, unsupported_audio

_MAX_CONFIGURATION_BYTES = 64
"""More than the fields that are read can take."""

_AAC_LC = 2
_SBR = 5
_PARAMETRIC_STEREO = 29
_OBJECT_TYPE_ESCAPE = 31
_EXPLICIT_FREQUENCY = 15
_SYNC_EXTENSION_TYPE = 0x2B7

_OBJECT_TYPE_NAMES = {
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
"""Names of audio object types (table 1.17) for error messages."""

_SAMPLING_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
"""Hz by samplingFrequencyIndex (table 1.18)."""
_ACCEPTED_RATES = frozenset({44_100, 48_000})
_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}
"""Number of channels by channelConfiguration (table 1.19). With 0, the frames define the channels."""


class AacConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of an AAC-LC stream. `description` is the AudioSpecificConfig itself, for the decoder."""

    sampling_rate: int
    channels: int
    description: bytes


def parse_audio_specific_config(description: bytes) -> AacConfiguration:
    """Parse an AudioSpecificConfig and check that the audio is accepted.

    Raises InputFaultError: AUDIO_CODEC for anything but AAC-LC with 1 or 2 channels at 44,100 or 48,000 Hz, INPUT for a
    truncated record or a reserved value.
    """
    reader = BitReader(description[:_MAX_CONFIGURATION_BYTES])
    try:
        object_type = _read_object_type(reader)
        sampling_rate = _read_sampling_rate(reader)
        channel_configuration = reader.bits(4)
        # The object type is judged after the rate and the channels are read, so that a truncated record is reported as
        # truncated. For other object types the fields behind have another layout.
        if object_type != _AAC_LC:
            name = _OBJECT_TYPE_NAMES.get(object_type, f"of the MPEG-4 object type {object_type}")
            raise unsupported_audio(f"the audio is {name}; it must be AAC-LC")
        _skip_ga_specific_config(reader)
    except OutOfBitsError:
        raise invalid_input("the AAC configuration is truncated") from None
    if _has_sbr_extension(reader):
        raise unsupported_audio(f"the audio is {_OBJECT_TYPE_NAMES[_SBR]}; it must be AAC-LC")
    if sampling_rate not in _ACCEPTED_RATES:
        raise unsupported_audio(f"the audio is sampled at {sampling_rate} Hz; it must be 44100 or 48000 Hz")
    channels = _CHANNELS.get(channel_configuration)
    if channels not in (1, 2):
        found = f"{channels} channels" if channels else f"the channel configuration {channel_configuration}"
        raise unsupported_audio(f"the audio has {found}; it must have one or two channels")
    return AacConfiguration(sampling_rate=sampling_rate, channels=channels, description=description)


def _read_object_type(reader: BitReader) -> int:
    value = reader.bits(5)
    return 32 + reader.bits(6) if value == _OBJECT_TYPE_ESCAPE else value


def _read_sampling_rate(reader: BitReader) -> int:
    index = reader.bits(4)
    if index == _EXPLICIT_FREQUENCY:
        return reader.bits(24)
    if index >= len(_SAMPLING_RATES):
        raise invalid_input(f"the AAC configuration has the reserved sampling frequency index {index}")
    return _SAMPLING_RATES[index]


def _skip_ga_specific_config(reader: BitReader) -> None:
    """Skip the GASpecificConfig of AAC-LC (section 4.4.1). It has no more fields if a channelConfiguration is given."""
    reader.bits(1)  # frameLengthFlag
    if reader.bits(1):  # dependsOnCoreCoder
        reader.bits(14)  # coreCoderDelay
    reader.bits(1)  # extensionFlag


def _has_sbr_extension(reader: BitReader) -> bool:
    """Whether the backward compatible extension signals SBR. Most records have no extension, or one without SBR."""
    try:
        is_extension = reader.bits(11) == _SYNC_EXTENSION_TYPE
        return is_extension and _read_object_type(reader) == _SBR and bool(reader.bits(1))
    except OutOfBitsError:
        return False

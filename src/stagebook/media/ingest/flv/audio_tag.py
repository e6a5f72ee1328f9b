"""The header of an audio message, which is the header of an FLV audio tag.

Two layouts are in use. The legacy one (Adobe FLV 10.1, annex E.4.2) has the sound format in the high four bits of the
first byte; for AAC one more byte follows:

    sound format (4 bits), rate, size and channels (4 bits, fixed for AAC) | AAC packet type | data

The enhanced one (Enhanced RTMP v2, "Enhanced Audio") uses the sound format 9 and names the codec by a FourCC;
`enhanced_header` reads it.
"""

from enum import StrEnum

import msgspec

from stagebook.media.codecs.input_fault import InputFaultError, invalid_input, unsupported_audio
from stagebook.media.ingest.flv.enhanced_header import PacketType, default_track, read_enhanced_header

_ENHANCED = 9
_AAC = 10
_LEGACY_HEADER_BYTES = 2

_MULTITRACK = 5

_LEGACY_FORMATS = {
    0: "PCM",
    1: "ADPCM",
    2: "MP3",
    3: "PCM",
    4: "Nellymoser",
    5: "Nellymoser",
    6: "Nellymoser",
    7: "G.711 A-law",
    8: "G.711 mu-law",
    11: "Speex",
    13: "Opus",
    14: "MP3",
    15: "in a device-specific format",
}
"""Sound formats of FLV 10.1; 13 is in wide use without a standard."""

_FOURCCS = {b".mp3": "MP3", b"Opus": "Opus", b"ac-3": "AC-3", b"ec-3": "E-AC-3", b"fLaC": "FLAC"}


class AudioTagType(StrEnum):
    """The content of an audio message."""

    CONFIGURATION = "configuration"
    FRAME = "frame"


class AudioTag(msgspec.Struct, frozen=True, kw_only=True):
    """An audio message without its header: an AudioSpecificConfig, or one raw AAC frame."""

    type: AudioTagType
    body: bytes


def read_audio_tag(payload: bytes | bytearray) -> AudioTag | None:
    """Read the payload of an audio message.

    Returns None for a message without audio: an end of sequence, a channel configuration, another track than track 0,
    an empty frame, or no bytes at all. Raises InputFaultError: AUDIO_CODEC for a codec other than AAC, INPUT for a
    header that is truncated or has unknown values.
    """
    if not payload:
        return None
    sound_format = payload[0] >> 4
    if sound_format == _ENHANCED:
        return _read_enhanced(payload)
    if sound_format != _AAC:
        raise _unsupported(_LEGACY_FORMATS.get(sound_format, f"of the unknown format {sound_format}"))
    if len(payload) < _LEGACY_HEADER_BYTES:
        raise invalid_input("an audio message is truncated")
    # The other bits of the first byte (rate, size, channels) are fixed for AAC and often wrong. The AudioSpecificConfig
    # says what they mean.
    if payload[1] > 1:
        raise invalid_input(f"an audio message has the unknown AAC packet type {payload[1]}")
    return _make_tag(is_configuration=payload[1] == 0, body=memoryview(payload)[_LEGACY_HEADER_BYTES:])


def _read_enhanced(payload: bytes | bytearray) -> AudioTag | None:
    packet = default_track(read_enhanced_header(payload, multitrack=_MULTITRACK))
    if packet is None:
        return None
    if packet.fourcc != b"mp4a":
        raise _unsupported(_FOURCCS.get(packet.fourcc, f"of the unknown codec {packet.fourcc_text}"))
    match packet.packet_type:
        case PacketType.SEQUENCE_START | PacketType.CODED_FRAMES as packet_type:
            return _make_tag(is_configuration=packet_type == PacketType.SEQUENCE_START, body=packet.body)
        case PacketType.SEQUENCE_END | PacketType.DESCRIPTION:
            return None
        case other:
            raise invalid_input(f"an audio message has the unknown packet type {other}")


def _make_tag(*, is_configuration: bool, body: memoryview) -> AudioTag | None:
    if is_configuration:
        return AudioTag(type=AudioTagType.CONFIGURATION, body=bytes(body))
    return AudioTag(type=AudioTagType.FRAME, body=bytes(body)) if body else None


def _unsupported(found: str) -> InputFaultError:
    return unsupported_audio(f"the audio is {found}; it must be AAC-LC")

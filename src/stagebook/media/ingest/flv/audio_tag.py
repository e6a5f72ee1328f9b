"""The header of an audio message: Adobe FLV 10.1, annex E.4.2, and Enhanced RTMP v2, "Enhanced Audio".

Says whether AAC follows, and which part of it. Does not look into the AAC.
"""

from enum import StrEnum

import msgspec

from stagebook.media.codecs.input_fault import InputFaultError, invalid_input, unsupported_audio
from stagebook.media.ingest.flv.enhanced_header import PacketType, read_enhanced

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
    15: "device-specific sound",
}
"""Sound formats by FLV 10.1; 13 is in wide use without a standard."""

_FOURCCS = {b".mp3": "MP3", b"Opus": "Opus", b"ac-3": "AC-3", b"ec-3": "E-AC-3", b"fLaC": "FLAC"}


class AudioPart(StrEnum):
    """What an audio message brings."""

    CONFIGURATION = "configuration"
    FRAME = "frame"


class AudioTag(msgspec.Struct, frozen=True, kw_only=True):
    """An AudioSpecificConfig, or one raw AAC frame."""

    part: AudioPart
    body: bytes


def read_audio_tag(payload: bytes) -> AudioTag | None:
    """Read an audio message. None: it brings nothing to hear (an end, silence, another track, an empty frame).

    Raises InputFaultError: AUDIO_CODEC for anything but AAC, INPUT for a header that is cut short or unknown.
    """
    if not payload:
        return None
    sound_format = payload[0] >> 4
    if sound_format == _ENHANCED:
        return _read_enhanced(payload)
    if sound_format != _AAC:
        raise _not_ours(_LEGACY_FORMATS.get(sound_format, f"of the unknown format {sound_format}"))
    if len(payload) < _LEGACY_HEADER_BYTES:
        raise invalid_input("an audio message is cut short")
    if payload[1] > 1:
        raise invalid_input(f"an audio message has the unknown AAC packet type {payload[1]}")
    return _tag(is_configuration=payload[1] == 0, body=payload[_LEGACY_HEADER_BYTES:])


def _read_enhanced(payload: bytes) -> AudioTag | None:
    packet = read_enhanced(payload, multitrack=_MULTITRACK)
    if packet is None:
        return None
    if packet.fourcc != b"mp4a":
        raise _not_ours(_FOURCCS.get(packet.fourcc, f"of the unknown codec {packet.fourcc_text}"))
    match packet.packet_type:
        case PacketType.SEQUENCE_START | PacketType.CODED_FRAMES as part:
            return _tag(is_configuration=part == PacketType.SEQUENCE_START, body=bytes(packet.body))
        case PacketType.SEQUENCE_END | PacketType.DESCRIPTION:
            return None
        case other:
            raise invalid_input(f"an audio message has the unknown packet type {other}")


def _tag(*, is_configuration: bool, body: bytes) -> AudioTag | None:
    if is_configuration:
        return AudioTag(part=AudioPart.CONFIGURATION, body=body)
    return AudioTag(part=AudioPart.FRAME, body=body) if body else None


def _not_ours(found: str) -> InputFaultError:
    return unsupported_audio(f"the audio is {found}; it must be AAC-LC")

"""What a viewer makes of a pipeline's units: pictures and sound, decoded from RTP payloads."""

from array import array
from collections.abc import Iterator

import av

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import Unit

_STAP_A = 24
_FU_A = 28
_START_CODE = b"\0\0\0\1"


def of_kind(units: list[Unit], kind: MediaKind) -> list[Unit]:
    """The units of one track."""
    return [unit for unit in units if unit.kind is kind]


def nal_units(unit: Unit) -> list[bytes]:
    """The NAL units of one picture, put together from its payloads (RFC 6184)."""
    units: list[bytes] = []
    for payload in unit.payloads:
        kind = payload[0] & 0x1F
        if kind == _STAP_A:
            position = 1
            while position < len(payload):
                size = int.from_bytes(payload[position : position + 2])
                units.append(payload[position + 2 : position + 2 + size])
                position += 2 + size
        elif kind == _FU_A:
            if payload[1] & 0x80:
                units.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]))
            units[-1] += payload[2:]
        else:
            units.append(payload)
    return units


def types(unit: Unit) -> list[int]:
    """The NAL unit types of one picture."""
    return [nal[0] & 0x1F for nal in nal_units(unit)]


def pictures(units: list[Unit]) -> Iterator[tuple[int, av.VideoFrame]]:
    """(timestamp in ticks, picture) of all video units, in the order in which they are shown."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    for unit in of_kind(units, MediaKind.VIDEO):
        packet = av.Packet(b"".join(_START_CODE + nal for nal in nal_units(unit)))
        packet.pts = unit.timestamp
        for frame in decoder.decode(packet):
            assert frame.pts is not None
            yield frame.pts, frame
    for frame in decoder.decode(None):
        assert frame.pts is not None
        yield frame.pts, frame


def sound(units: list[Unit]) -> "Iterator[tuple[int, array[int]]]":
    """(timestamp in ticks, left channel's samples) of all audio units."""
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 48_000, "stereo"
    for unit in of_kind(units, MediaKind.AUDIO):
        for frame in decoder.decode(av.Packet(unit.payloads[0])):
            yield unit.timestamp, array("h", bytes(frame.planes[0])[: frame.samples * 4])[::2]

"""The viewer's side of the pipeline's units: NAL units, video frames and audio samples, decoded from RTP payloads."""

from array import array
from collections.abc import Iterator

import av

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import Unit

_STAP_A = 24
_FU_A = 28
_START_CODE = b"\0\0\0\1"


def of_kind(units: list[Unit], kind: MediaKind) -> list[Unit]:
    """Return the units of one track."""
    return [unit for unit in units if unit.kind is kind]


def nal_units(unit: Unit) -> list[bytes]:
    """Return the NAL units of one video frame, reassembled from its payloads (RFC 6184)."""
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


def nal_types(unit: Unit) -> list[int]:
    """Return the NAL unit types of one video frame."""
    return [nal[0] & 0x1F for nal in nal_units(unit)]


def video_frames(units: list[Unit]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode all video units. Yields (timestamp in ticks, frame) in presentation order."""
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


def audio_samples(units: list[Unit]) -> "Iterator[tuple[int, array[int]]]":
    """Decode all audio units. Yields (timestamp in ticks, samples of the left channel)."""
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 48_000, "stereo"
    for unit in of_kind(units, MediaKind.AUDIO):
        for frame in decoder.decode(av.Packet(unit.payloads[0])):
            yield unit.timestamp, array("h", bytes(frame.planes[0])[: frame.samples * 4])[::2]

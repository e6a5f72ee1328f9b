"""Reads fragmented MP4 as a player does: boxes, tracks of an init segment, samples of a media segment."""

import struct
from collections.abc import Iterator

import msgspec


class Mp4Track(msgspec.Struct, frozen=True, kw_only=True):
    """A track of an init segment. `codec` is in the form of RFC 6381."""

    track_id: int
    timescale: int
    codec: str
    width: int
    height: int


class Mp4Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample. Times are in ticks of its track."""

    decode_time: int
    duration: int
    composition_offset: int
    is_sync: bool
    body: bytes


def boxes(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the type and the content of each box."""
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4])
        assert 8 <= size <= len(data) - position, "a box is longer than what holds it"
        yield data[position + 4 : position + 8].decode(), data[position + 8 : position + size]
        position += size


def find(data: bytes, *path: str) -> bytes:
    """Return the content of the first box with a path."""
    for kind in path:
        data = next(content for found, content in boxes(data) if found == kind)
    return data


def tracks(init: bytes) -> list[Mp4Track]:
    """Return the tracks of an init segment."""
    moov = find(init, "moov")
    return [_track(content) for kind, content in boxes(moov) if kind == "trak"]


def _track(trak: bytes) -> Mp4Track:
    track_id = int.from_bytes(find(trak, "tkhd")[12:16])
    timescale = int.from_bytes(find(trak, "mdia", "mdhd")[12:16])
    kind, entry = next(boxes(find(trak, "mdia", "minf", "stbl", "stsd")[8:]))
    if kind == "avc1":
        width, height = struct.unpack(">HH", entry[24:28])
        codec = f"avc1.{find(entry[78:], 'avcC')[1:4].hex()}"
    else:
        assert kind == "mp4a"
        width = height = 0
        description = find(entry[28:], "esds")[4:].split(b"\x05", 1)[1]
        codec = f"mp4a.40.{description[1] >> 3}"
    return Mp4Track(track_id=track_id, timescale=timescale, codec=codec, width=width, height=height)


def sequence_number(segment: bytes) -> int:
    """Return the sequence number of a media segment."""
    return int.from_bytes(find(segment, "moof", "mfhd")[4:8])


def samples(segment: bytes) -> dict[int, list[Mp4Sample]]:
    """Return the samples of a media segment by track. Checks that they fill its mdat exactly."""
    kinds = [kind for kind, _ in boxes(segment)]
    assert kinds == ["moof", "mdat"]
    found: dict[int, list[Mp4Sample]] = {}
    position = len(segment) - len(find(segment, "mdat"))
    for kind, traf in boxes(find(segment, "moof")):
        if kind == "traf":
            track_id, track_samples, position = _track_samples(traf, segment, position)
            found[track_id] = track_samples
    assert position == len(segment), "the samples do not fill the media data"
    return found


def _track_samples(traf: bytes, segment: bytes, position: int) -> tuple[int, list[Mp4Sample], int]:
    tfhd, tfdt, trun = find(traf, "tfhd"), find(traf, "tfdt"), find(traf, "trun")
    header_flags, run_flags = int.from_bytes(tfhd[1:4]), int.from_bytes(trun[1:4])
    assert header_flags & 0x020000, "the base of the data is not the fragment"
    default_duration, default_flags = struct.unpack(">II", tfhd[8:16]) if header_flags & 0x28 else (0, 0)
    time = int.from_bytes(tfdt[4:12])
    count, offset = struct.unpack(">Ii", trun[4:12])
    assert offset == position, "the data of a track is not where the fragment says"
    fields, cursor, result = trun[12:], 0, []
    for _ in range(count):
        values = [default_duration, 0, default_flags, 0]
        for index, flag in enumerate((0x100, 0x200, 0x400, 0x800)):
            if run_flags & flag:
                values[index] = int.from_bytes(fields[cursor : cursor + 4], signed=index == 3)
                cursor += 4
        duration, size, flags, composition = values
        result.append(
            Mp4Sample(
                decode_time=time,
                duration=duration,
                composition_offset=composition,
                is_sync=not flags & 0x10000,
                body=segment[position : position + size],
            )
        )
        time, position = time + duration, position + size
    return int.from_bytes(tfhd[4:8]), result, position

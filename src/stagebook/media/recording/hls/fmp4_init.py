"""Init segments of fragmented MP4 (ISO/IEC 14496-12, 14496-14 and 14496-15): the tracks without any sample.

    ftyp
    moov
      mvhd
      trak (one for each track)
        tkhd, mdia (mdhd, hdlr, minf (vmhd or smhd, dinf, stbl (stsd, and empty tables)))
      mvex (trex for each track)

Times of pictures are in 1/90000 s, times of sound in samples of 48 kHz. There is no edit list: the times of both tracks
are those of the recording.
"""

import struct
from typing import Final

from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.recording.hls.access_unit import decoder_configuration
from stagebook.media.recording.hls.encoded_media import SAMPLES_PER_SECOND, SoundFormat, VideoFormat

VIDEO_TRACK: Final = 1
SOUND_TRACK: Final = 2
VIDEO_TICKS_PER_SECOND: Final = 90_000

_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED_LANGUAGE: Final = 0x55C4


def box(kind: bytes, *content: bytes) -> bytes:
    """Return a box: its size, its type, its content."""
    body = b"".join(content)
    return (8 + len(body)).to_bytes(4) + kind + body


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    """Return a box with a version and flags."""
    return box(kind, (version << 24 | flags).to_bytes(4), *content)


def init_segment(video: VideoFormat | None, sound: SoundFormat | None) -> bytes:
    """Return the init segment of a stream with one or both tracks."""
    tracks, extends = [], []
    if video is not None:
        tracks.append(_video_track(video))
        extends.append(_track_extends(VIDEO_TRACK))
    if sound is not None:
        tracks.append(_sound_track(sound))
        extends.append(_track_extends(SOUND_TRACK))
    header = struct.pack(">IIIIIHHII", 0, 0, 1_000, 0, 0x10000, 0x100, 0, 0, 0)
    movie = full_box(b"mvhd", 0, 0, header, _MATRIX, bytes(24), (3).to_bytes(4))
    brands = box(b"ftyp", b"iso6", (1).to_bytes(4), b"iso6", b"cmfc", b"mp41")
    return brands + box(b"moov", movie, *tracks, box(b"mvex", *extends))


def video_codec(video: VideoFormat) -> str:
    """Return the `codecs` parameter of H.264 (RFC 6381 section 3.3): profile, constraints and level in hexadecimal."""
    return f"avc1.{video.sps[1:4].hex()}"


def sound_codec() -> str:
    """Return the `codecs` parameter of AAC-LC (RFC 6381 section 3.3)."""
    return "mp4a.40.2"


def _track_extends(track_id: int) -> bytes:
    return full_box(b"trex", 0, 0, struct.pack(">5I", track_id, 1, 0, 0, 0))


def _video_track(video: VideoFormat) -> bytes:
    parameters = parse_sps(video.sps)
    width, height = (parameters.width, parameters.height) if parameters else (0, 0)
    entry = struct.pack(">6xH16xHHIIIH", 1, width, height, 0x480000, 0x480000, 0, 1) + bytes(32) + b"\x00\x18\xff\xff"
    sample_entry = box(b"avc1", entry, box(b"avcC", decoder_configuration(video)))
    media_header = full_box(b"vmhd", 0, 1, bytes(8))
    media = _media(VIDEO_TICKS_PER_SECOND, b"vide", b"VideoHandler\0", media_header, sample_entry)
    return box(b"trak", _track_header(VIDEO_TRACK, width, height, volume=0), media)


def _sound_track(sound: SoundFormat) -> bytes:
    entry = struct.pack(">6xH8xHHHHI", 1, sound.channels, 16, 0, 0, SAMPLES_PER_SECOND << 16)
    sample_entry = box(b"mp4a", entry, full_box(b"esds", 0, 0, _elementary_stream(sound.description)))
    media_header = full_box(b"smhd", 0, 0, bytes(4))
    media = _media(SAMPLES_PER_SECOND, b"soun", b"SoundHandler\0", media_header, sample_entry)
    return box(b"trak", _track_header(SOUND_TRACK, 0, 0, volume=0x100), media)


def _track_header(track_id: int, width: int, height: int, *, volume: int) -> bytes:
    # Creation and modification time, track id, duration, layer, alternate group, volume. Flags: enabled, in the movie.
    head = struct.pack(">III4xI8xHHH2x", 0, 0, track_id, 0, 0, 0, volume)
    return full_box(b"tkhd", 0, 3, head, _MATRIX, struct.pack(">II", width << 16, height << 16))


def _media(timescale: int, handler: bytes, name: bytes, media_header: bytes, sample_entry: bytes) -> bytes:
    header = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, 0, _UNDETERMINED_LANGUAGE, 0))
    reference = box(b"dinf", full_box(b"dref", 0, 0, (1).to_bytes(4), full_box(b"url ", 0, 1)))
    tables = (
        full_box(b"stsd", 0, 0, (1).to_bytes(4), sample_entry),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
    handler_box = full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), name)
    return box(b"mdia", header, handler_box, box(b"minf", media_header, reference, box(b"stbl", *tables)))


def _elementary_stream(description: bytes) -> bytes:
    """Return the ES_Descriptor of AAC (ISO/IEC 14496-1 section 7.2.6.5)."""
    specific = _descriptor(5, description)
    decoder = _descriptor(4, b"\x40\x15" + bytes(3) + bytes(8) + specific)
    return _descriptor(3, bytes(3) + decoder + _descriptor(6, b"\x02"))


def _descriptor(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content

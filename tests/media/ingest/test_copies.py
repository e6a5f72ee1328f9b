"""Which steps between the RTMP chunks and the packetizer copy the payload of a video message: none."""

from stagebook.media.codecs import avc
from stagebook.media.ingest.flv.video_tag import read_video_tag
from stagebook.media.rtmp.chunk_reader import ChunkReader
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

NAL_UNIT = b"\x41" + bytes(99)
PAYLOAD = b"\x27\x01\0\0\0" + len(NAL_UNIT).to_bytes(4) + NAL_UNIT


def test_nal_units_are_views_of_the_buffer_in_which_the_chunks_were_joined() -> None:
    header = b"\x06" + bytes(3) + len(PAYLOAD).to_bytes(3) + b"\x09" + b"\1\0\0\0"
    (message,) = ChunkReader(RtmpLimits()).receive(header + PAYLOAD)
    tag = read_video_tag(message.payload)
    assert tag is not None
    (nal_unit,) = avc.split_nal_units(tag.body, length_size_bytes=4)
    assert nal_unit == NAL_UNIT
    assert nal_unit.obj is message.payload

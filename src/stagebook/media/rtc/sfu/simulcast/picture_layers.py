"""What the forwarder has to know of the frame that a packet of video belongs to, to leave frames out. Sans-I/O.

An encoder with temporal layers makes frames that the frames of lower layers do not need: without them, the picture has
fewer frames a second and fewer bits. VP8 says in each packet which layer it belongs to (`vp8_descriptor`). H.264 says
it by nal_ref_idc, or by a prefix NAL unit in front of the slice. So for H.264 the first packet of a frame decides; a
frame that begins with neither a slice nor a prefix is never left out.
"""

from typing import Final, NamedTuple

from stagebook.media.codecs import h264, vp8
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.codecs.vp8_descriptor import Vp8Descriptor, parse_descriptor

_MAX_FRAMES: Final = 64
"""Frames of H.264 whose layer is remembered, for packets that arrive late."""


class PictureLayer(NamedTuple):
    """One packet's frame."""

    starts_keyframe: bool = False
    starts_frame: bool = False
    """Whether it is the frame's first packet, and nothing is missing just before it."""
    temporal_id: int = 0
    is_sync: bool = False
    """Whether a frame above layer 0 depends on no frame of its own layer, so that a viewer may begin to receive the
    layer here."""
    vp8: Vp8Descriptor | None = None


ANY_START: Final = PictureLayer(starts_keyframe=True, starts_frame=True)
"""Audio: a viewer may begin at any packet."""
_MIDDLE_OF_FRAME: Final = PictureLayer()
"""Most packets of video."""


class PictureLayerReader:
    """Reads the packets of one SSRC."""

    __slots__ = ("_is_vp8", "_newest_sequence", "_newest_timestamp", "_temporal_ids", "keyframe_size")

    def __init__(self, codec: Codec) -> None:
        self.keyframe_size = (0, 0)
        """Width and height of the last keyframe of VP8; zeros while unknown."""
        self._is_vp8 = codec is Codec.VP8
        self._newest_sequence = -1
        self._newest_timestamp = -1
        self._temporal_ids: dict[int, int] = {}
        """Of frames of H.264, by their timestamps."""

    def read(self, *, sequence: int, timestamp: int, payload: bytes, is_late: bool) -> PictureLayer:
        """Read a packet. `is_late`: packets behind it have been read before."""
        return (
            self._read_vp8(payload) if self._is_vp8 else self._read_h264(sequence, timestamp, payload, is_late=is_late)
        )

    def _read_vp8(self, payload: bytes) -> PictureLayer:
        descriptor = parse_descriptor(payload)
        if descriptor is None:
            return PictureLayer()
        if descriptor.is_key:
            self.keyframe_size = vp8.size_of_keyframe(payload, descriptor) or self.keyframe_size
        return PictureLayer(
            descriptor.is_key, descriptor.starts_frame, descriptor.temporal_id, descriptor.is_sync, descriptor
        )

    def _read_h264(self, sequence: int, timestamp: int, payload: bytes, *, is_late: bool) -> PictureLayer:
        temporal_id = self._temporal_ids.get(timestamp)
        if temporal_id is None:
            # 0 also where there is no slice: what has been sent of a frame must not be without the rest.
            temporal_id = self._temporal_ids[timestamp] = h264.temporal_id(payload) or 0
            if len(self._temporal_ids) > _MAX_FRAMES:
                del self._temporal_ids[next(iter(self._temporal_ids))]
        starts_frame = False
        if not is_late:
            follows = sequence == (self._newest_sequence + 1) & 0xFFFF
            starts_frame = follows and timestamp != self._newest_timestamp
            self._newest_sequence, self._newest_timestamp = sequence, timestamp
        starts_keyframe = h264.starts_keyframe(payload)
        if not (starts_keyframe or starts_frame or temporal_id):
            return _MIDDLE_OF_FRAME
        # WebRTC's encoders build nested layers: a frame refers to lower layers, and not to its own.
        return PictureLayer(starts_keyframe, starts_frame, temporal_id, temporal_id > 0)

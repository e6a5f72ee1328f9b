"""A frame of a source, as a tap hands it on: in order, complete, with a time that audio and video share."""

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind


class TappedFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One video frame or one audio packet of a source."""

    kind: MediaKind
    codec: Codec
    time_us: int
    """The presentation time on the source's timeline, in microseconds. Audio and video share it, and it goes on
    when the publisher reconnects. It grows strictly for each kind."""
    body: bytes
    """H.264: an access unit in Annex B, whose keyframes begin with SPS and PPS. VP8: a frame. Opus: a packet."""
    is_keyframe: bool
    """True for every audio packet."""
    is_after_loss: bool = False
    """Frames between this one and the one before were lost. Video then goes on with a keyframe."""
    is_new_stream: bool = False
    """The publisher has reconnected, was replaced, or changed its codec or picture size: nothing before this frame may
    be needed to decode it, and its time may be far from the one before."""

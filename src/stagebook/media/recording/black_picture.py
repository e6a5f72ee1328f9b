"""The picture of a participant who sends no video: black.

Players in browsers cannot add a track in the middle of a recording: another init segment must have the same tracks
(Media Source Extensions, the algorithm "initialization segment received"). So a recording of audio and video has both
from the start, and shows this picture until the first one comes.
"""

from fractions import Fraction
from functools import cache
from typing import Final

import av

WIDTH: Final = 320
HEIGHT: Final = 180
_OPTIONS: Final = {"profile": "baseline", "preset": "ultrafast", "tune": "stillimage,zerolatency"}


@cache
def black_picture() -> bytes:
    """Return a keyframe as an H.264 access unit in Annex B, with its parameter sets."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 1), 1
    encoder.options = dict(_OPTIONS)
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for index, plane in enumerate(frame.planes):
        plane.update(bytes([128 if index else 16]) * plane.buffer_size)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])

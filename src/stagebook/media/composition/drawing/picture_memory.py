"""Keeps the memory of pictures in the process.

A composition allocates and frees some large pictures for each frame. By default the C library of GNU gives such blocks
back to the system each time, and the system clears each page again: most of the processor time of a frame goes there.
"""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt(3)."""
_LARGEST_BLOCK: Final = 32 * 1024 * 1024
"""The greatest value that glibc takes. A picture of 1080p has 3 MB."""
_KEPT_BYTES: Final = 256 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Let the C library reuse freed blocks. To be called once in a process that draws; it holds for the whole process.

    Returns False where the C library has no such settings. Pictures are drawn there as well, with more processor time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))

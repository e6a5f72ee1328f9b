"""The request ids (`x-amzn-requestid`): unique UUIDs, without a system call for each.

An id has the form of a random UUID (RFC 9562 section 5.4): 72 random bits per server start, and a 48-bit counter
with a random first value.
"""

from itertools import count

from stagebook.stage.clock import Randomness

_COUNTER_MASK = (1 << 48) - 1


class RequestIds:
    """Generates the request ids of one server."""

    def __init__(self, randomness: Randomness) -> None:
        start = randomness.token_bytes(16).hex()
        self._prefix = f"{start[:8]}-{start[8:12]}-4{start[12:15]}-8{start[15:18]}-".encode()
        self._counter = count(int(start[18:30], 16))

    def next_id(self) -> bytes:
        """Return an id that this server has not returned before."""
        return b"%s%012x" % (self._prefix, next(self._counter) & _COUNTER_MASK)

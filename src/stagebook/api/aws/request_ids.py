"""The ids of answers (`x-amzn-requestid`): unique, in the form of a UUID, and cheap."""

from itertools import count

from stagebook.stage.clock import Randomness

_COUNTER_MASK = (1 << 48) - 1


class RequestIds:
    """Gives out ids: 80 random bits per server start, and a counter that starts anywhere."""

    def __init__(self, randomness: Randomness) -> None:
        start = randomness.token_bytes(16).hex()
        self._prefix = f"{start[:8]}-{start[8:12]}-4{start[12:15]}-8{start[15:18]}-".encode()
        self._counter = count(int(start[18:30], 16))

    def next_id(self) -> bytes:
        """Return an id that this server has not given out before."""
        return b"%s%012x" % (self._prefix, next(self._counter) & _COUNTER_MASK)

"""Typed messages on a stream socket between two processes of one release: msgpack behind its length in four bytes.

There is no version to agree on. Knows no message.
"""

import asyncio
from typing import Final, Generic, TypeVar

import msgspec

LENGTH_BYTES: Final = 4

MessageT = TypeVar("MessageT")

_encoder = msgspec.msgpack.Encoder()


class BrokenStreamError(Exception):
    """The other end is gone, or speaks nonsense."""


def frame(message: msgspec.Struct, *, max_bytes: int) -> bytes:
    """Return a message as it is written. Raises ValueError if it is too large or holds text that is no Unicode."""
    body = _encoder.encode(message)
    if len(body) > max_bytes:
        raise ValueError(f"a message of more than {max_bytes} bytes")
    return len(body).to_bytes(LENGTH_BYTES) + body


class MessageReader(Generic[MessageT]):
    """Reads messages of the types that `decoder` knows, of at most `max_bytes` each."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[MessageT], *, max_bytes: int) -> None:
        self._decoder = decoder
        self._max_bytes = max_bytes

    async def next(self, reader: asyncio.StreamReader) -> MessageT:
        """The next message. Raises BrokenStreamError."""
        try:
            length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
            if length > self._max_bytes:
                raise BrokenStreamError(f"a message of {length} bytes is announced; at most {self._max_bytes}")
            return self._decoder.decode(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise BrokenStreamError("the other end is gone") from error
        except msgspec.DecodeError as error:
            raise BrokenStreamError(f"not a message of this stream: {error}") from error

"""Length-prefixed msgpack messages on a stream socket between two local processes.

    +----------------------+------------------------+
    | length, 4 bytes, big | body: one msgpack map  |
    | endian               | or array, `length` B   |
    +----------------------+------------------------+

The body is a tagged msgspec struct, so the decoder knows the message's type from its content. Both processes run the
same release, so the protocol has no version number. A message that is too long or that does not decode means that the
stream cannot be read further: the reader raises `BrokenStreamError`, and its owner closes the connection.
"""

import asyncio
from typing import Final, Generic, TypeVar

import msgspec

LENGTH_BYTES: Final = 4
MALFORMED_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a msgspec decoder raises for a body that is no message: of another form, with a string that is not UTF-8, or
nested too deeply, also in a member that it skips."""

MessageT = TypeVar("MessageT")

_encoder = msgspec.msgpack.Encoder()


class BrokenStreamError(Exception):
    """The other process closed the connection, or sent bytes that are not a message."""


def frame(message: msgspec.Struct, *, max_bytes: int) -> bytearray:
    """Encode a message with its length prefix.

    Raises ValueError if the body has more than `max_bytes` or a string contains a lone surrogate, which UTF-8 cannot
    encode.
    """
    data = bytearray(LENGTH_BYTES)
    # Encoding behind the prefix saves the copy that joining prefix and body would cost.
    _encoder.encode_into(message, data, LENGTH_BYTES)
    length = len(data) - LENGTH_BYTES
    if length > max_bytes:
        raise ValueError(f"the message has more than {max_bytes} bytes")
    data[:LENGTH_BYTES] = length.to_bytes(LENGTH_BYTES)
    return data


class MessageReader(Generic[MessageT]):
    """Reads messages from a stream: of the types that `decoder` accepts, with a body of at most `max_bytes`."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[MessageT], *, max_bytes: int) -> None:
        self._decoder = decoder
        self._max_bytes = max_bytes

    async def next(self, reader: asyncio.StreamReader) -> MessageT:
        """Read the next message.

        Raises BrokenStreamError at the end of the stream, for a body longer than `max_bytes` (before it is read), and
        for a body that the decoder does not accept.
        """
        # The length is checked before the body is read, so a broken stream cannot make this process allocate 4 GiB.
        try:
            length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
            if length > self._max_bytes:
                raise BrokenStreamError(f"the message has {length} bytes; at most {self._max_bytes} are allowed")
            return self._decoder.decode(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise BrokenStreamError("the other process closed the connection") from error
        except MALFORMED_ERRORS as error:
            raise BrokenStreamError(f"the message is malformed: {error}") from error

"""The messages between the server and a history process, on a stream socket of the two.

    +----------------------+-----------------------+
    | length, 4 bytes, big | body: a pickled       |
    | endian               | request or reply      |
    +----------------------+-----------------------+

The server first sends where the book is. Then it sends requests, and the process sends one reply to each. An empty body
from the server asks to stop the request that runs; the reply is sent in any case, and an empty body that arrives later
has no meaning. Pickle can run any code, so it is for trusted peers only: nothing but the server and its own child
process ever holds an end of the socket.
"""

import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stagebook.book.book_source import BookSource

LENGTH_SIZE_BYTES = 4
MAXIMUM_MESSAGE_SIZE_BYTES = 64 << 20

STOP_FRAME = bytes(LENGTH_SIZE_BYTES)
"""Asks a process to stop what it runs."""


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Run `read` with the files of the process and these arguments, for at most `seconds`."""

    read: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    seconds: float


class ReadDone(msgspec.Struct, frozen=True, kw_only=True):
    """The read returned `value`."""

    value: Any


class ReadFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The read raised an exception.

    An exception with keyword arguments cannot be pickled, so its class and its attributes are.
    """

    kind: type[Exception]
    args: tuple[Any, ...]
    attributes: dict[str, Any]

    @classmethod
    def of(cls, error: Exception) -> "ReadFailed":
        """Return the message for an exception. Its traceback, which cannot be pickled, becomes a note for the log."""
        error.add_note("".join(traceback.format_exception(error)))
        return cls(kind=type(error), args=error.args, attributes=dict(vars(error)))

    def exception(self) -> Exception:
        """Return the exception again."""
        error = self.kind.__new__(self.kind, *self.args)
        vars(error).update(self.attributes)
        return error


def source_frame(source: BookSource) -> bytes:
    """Return the bytes of the first message: where the book is."""
    return _frame(pickle.dumps(source, pickle.HIGHEST_PROTOCOL))


def request_frame(request: ReadRequest) -> bytes:
    """Return the bytes of a request. Raises ValueError if it is too large."""
    return _frame(pickle.dumps(request, pickle.HIGHEST_PROTOCOL))


def reply_frame(reply: ReadDone | ReadFailed) -> bytes:
    """Return the bytes of a reply. One that is too large, or that cannot be pickled, becomes a failure."""
    try:
        return _frame(pickle.dumps(reply, pickle.HIGHEST_PROTOCOL))
    except Exception as error:  # noqa: BLE001 - pickle raises what the value's own methods raise
        failure = ReadFailed(kind=RuntimeError, args=(f"the result of a read cannot be sent: {error}",), attributes={})
        return _frame(pickle.dumps(failure, pickle.HIGHEST_PROTOCOL))


def decode(body: bytes) -> Any:  # noqa: ANN401 - a request or a reply
    """Return the message of a body, or the place of the book."""
    return pickle.loads(body)  # noqa: S301 - from the server or its own child process, see above


def _frame(body: bytes) -> bytes:
    if len(body) > MAXIMUM_MESSAGE_SIZE_BYTES:
        raise ValueError(f"the message has more than {MAXIMUM_MESSAGE_SIZE_BYTES} bytes")
    return len(body).to_bytes(LENGTH_SIZE_BYTES, "big") + body

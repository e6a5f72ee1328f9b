"""HTTP/1.1 answers read from the bytes of a keep-alive connection: just enough of it for the load generator. Pure."""

import msgspec

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class AnswerError(Exception):
    """The server answered something else than what was asked for."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: its status, its header lines and its body."""

    status: int
    head: bytes
    body: bytes


def answer_size(buffer: bytes) -> int | None:
    """Return how many bytes the first answer in `buffer` has, or None while its head is not whole.

    Raises AnswerError for an answer without a length.
    """
    head_end = buffer.find(_HEAD_END)
    if head_end < 0:
        return None
    head = buffer[:head_end].lower()
    start = head.find(_LENGTH)
    if start < 0:
        raise AnswerError(f"an answer without a length: {buffer[:head_end]!r}")
    line_end = head.find(b"\r\n", start + 2)
    length = head[start + len(_LENGTH) : line_end if line_end >= 0 else head_end]
    return head_end + len(_HEAD_END) + int(length)


def parse_answer(buffer: bytes) -> Answer:
    """Return the answer that `buffer` holds whole and alone. Raises AnswerError."""
    if answer_size(buffer) != len(buffer):
        raise AnswerError("not one whole answer")
    head, _, body = buffer.partition(_HEAD_END)
    return Answer(status=int(head.split(b" ", 2)[1]), head=head, body=body)

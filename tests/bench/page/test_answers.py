"""HTTP answers, found in the bytes of a connection."""

import pytest

from bench.page.answers import AnswerError, answer_size, parse_answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\nx-amzn-requestid: 1\r\n\r\nbody"


def test_an_answer_is_as_long_as_its_head_says() -> None:
    assert answer_size(ANSWER) == len(ANSWER)
    assert answer_size(ANSWER + b"more") == len(ANSWER)
    assert answer_size(ANSWER[:-3]) == len(ANSWER)


@pytest.mark.parametrize("size", range(0, ANSWER.index(b"body"), 7))
def test_a_head_that_is_not_whole_has_no_size_yet(size: int) -> None:
    assert answer_size(ANSWER[:size]) is None


def test_the_length_may_be_the_last_header() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok"
    assert answer_size(answer) == len(answer)


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(AnswerError, match="without a length"):
        answer_size(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_a_whole_answer_has_a_status_and_a_body() -> None:
    answer = parse_answer(ANSWER)
    assert (answer.status, answer.body) == (200, b"body")
    assert answer.head.endswith(b"x-amzn-requestid: 1")


@pytest.mark.parametrize("buffer", [ANSWER[:-1], ANSWER + b"x"])
def test_more_or_less_than_one_answer_is_refused(buffer: bytes) -> None:
    with pytest.raises(AnswerError, match="one whole answer"):
        parse_answer(buffer)

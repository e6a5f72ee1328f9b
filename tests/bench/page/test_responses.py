"""The parser of HTTP responses."""

import pytest

from bench.page.responses import ResponseError, parse_response, response_size

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\nx-amzn-requestid: 1\r\n\r\nbody"


def test_the_size_of_a_response_is_that_of_its_head_and_content_length() -> None:
    assert response_size(RESPONSE) == len(RESPONSE)
    assert response_size(RESPONSE + b"more") == len(RESPONSE)
    assert response_size(RESPONSE[:-3]) == len(RESPONSE)


@pytest.mark.parametrize("size", range(0, RESPONSE.index(b"body"), 7))
def test_an_incomplete_head_has_no_size_yet(size: int) -> None:
    assert response_size(RESPONSE[:size]) is None


def test_the_content_length_may_be_the_last_header_field() -> None:
    response = b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok"
    assert response_size(response) == len(response)


def test_a_response_without_a_length_is_refused() -> None:
    with pytest.raises(ResponseError, match="without a length"):
        response_size(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_a_complete_response_has_a_status_and_a_body() -> None:
    response = parse_response(RESPONSE)
    assert (response.status, response.body) == (200, b"body")
    assert response.head.endswith(b"x-amzn-requestid: 1")


@pytest.mark.parametrize("buffer", [RESPONSE[:-1], RESPONSE + b"x"])
def test_more_or_less_than_one_response_is_refused(buffer: bytes) -> None:
    with pytest.raises(ResponseError, match="one complete response"):
        parse_response(buffer)

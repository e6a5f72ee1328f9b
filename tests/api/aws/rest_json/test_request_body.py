"""The size limit of request bodies, and the errors for bodies that are too large or too slow."""

import pytest

from stagebook.api.asgi import Message
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.rest_json.header_members import CLOSE_CONNECTION
from stagebook.api.aws.rest_json.request_body import DRAIN_SIZE_BYTES, MAXIMUM_SIZE_BYTES, read_request_body
from stagebook.api.http_body import BodyReader, ClientDisconnectedError
from tests.api.body_client import BodyClient, body_part


async def read(client: BodyClient, *, timeout_seconds: float = 60.0) -> bytes:
    return await read_request_body(BodyReader(timeout_seconds=timeout_seconds), client.receive)


async def test_the_largest_body_is_accepted() -> None:
    half = b"x" * (MAXIMUM_SIZE_BYTES // 2)
    assert await read(BodyClient(body_part(half, more=True), body_part(half, more=False))) == half * 2
    assert await read(BodyClient(body_part(half * 2, more=False))) == half * 2


@pytest.mark.parametrize("parts", [1, 2, 7])
async def test_a_larger_body_is_received_to_its_end_and_refused(parts: int) -> None:
    size = MAXIMUM_SIZE_BYTES // parts + 1
    client = BodyClient(*(body_part(b"x" * size, more=i < parts - 1) for i in range(parts)))

    with pytest.raises(AwsError) as refused:
        await read(client)

    assert refused.value.error_type is ErrorType.REQUEST_ENTITY_TOO_LARGE
    assert refused.value.status == 413
    assert refused.value.headers == ()
    assert client.receive_calls == parts


async def test_a_body_above_the_drain_size_closes_the_connection() -> None:
    size = 64 * 1_024
    client = BodyClient(*[body_part(b"x" * size, more=True)] * 1_000)

    with pytest.raises(AwsError) as refused:
        await read(client)

    assert refused.value.error_type is ErrorType.REQUEST_ENTITY_TOO_LARGE
    assert refused.value.headers == (CLOSE_CONNECTION,)
    assert client.receive_calls <= DRAIN_SIZE_BYTES // size + 1


@pytest.mark.parametrize("before", [(), (body_part(b"x", more=True),)])
async def test_an_incomplete_body_is_a_request_timeout(before: tuple[Message, ...]) -> None:
    with pytest.raises(AwsError) as refused:
        await read(BodyClient(*before), timeout_seconds=0.05)

    assert refused.value.error_type is ErrorType.REQUEST_TIMEOUT
    assert refused.value.status == 408
    assert refused.value.headers == (CLOSE_CONNECTION,)


async def test_a_disconnected_client_is_no_aws_error() -> None:
    with pytest.raises(ClientDisconnectedError):
        await read(BodyClient({"type": "http.disconnect"}))

"""The size limit of request bodies, and the AWS errors for a body that is too large or too slow."""

from stagebook.api.asgi import Receive
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.rest_json.header_members import CLOSE_CONNECTION
from stagebook.api.http_body import BodyReader, BodyTimeoutError, BodyTooLargeError

MAXIMUM_SIZE_BYTES = 256 * 1_024
DRAIN_SIZE_BYTES = 2 * 1_024 * 1_024
"""A body that is too large is received up to this size, so that SDKs, which send the whole request first, get to read
the error response."""


async def read_request_body(bodies: BodyReader, receive: Receive) -> bytes:
    """Return the body of a request.

    Raises AwsError RequestEntityTooLarge above MAXIMUM_SIZE_BYTES, AwsError RequestTimeout when the body is not
    complete in time, and ClientDisconnectedError. When a part of the body has not been read, the error closes the
    connection: the rest would be parsed as the next request.
    """
    try:
        return await bodies.read(receive, max_size_bytes=MAXIMUM_SIZE_BYTES, drain_size_bytes=DRAIN_SIZE_BYTES)
    except BodyTooLargeError as error:
        raise AwsError(
            ErrorType.REQUEST_ENTITY_TOO_LARGE,
            f"The body of a request can have at most {MAXIMUM_SIZE_BYTES} bytes.",
            headers=() if error.is_complete else (CLOSE_CONNECTION,),
        ) from None
    except BodyTimeoutError:
        raise AwsError(
            ErrorType.REQUEST_TIMEOUT,
            f"The body of the request was not complete after {bodies.timeout_seconds:g} seconds.",
            headers=(CLOSE_CONNECTION,),
        ) from None

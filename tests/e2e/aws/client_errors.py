"""Errors as a boto3 client raises them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

STATUSES = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 402,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}


@contextmanager
def refused(code: str, *, naming: str = "") -> Iterator[None]:
    """Assert that the block raises a ClientError with this code, the HTTP status of the code, and a request id.

    `naming` must occur in its message.
    """
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code, response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == STATUSES[code]
    assert response["ResponseMetadata"]["RequestId"]
    assert naming in response["Error"]["Message"]
    assert response["Error"]["Message"]

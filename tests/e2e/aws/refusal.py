"""What a refused call looks like to a boto3 caller."""

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
    """Expect a ClientError with this code, its own HTTP status, a request id, and a message that names something."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code, response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == STATUSES[code]
    assert response["ResponseMetadata"]["RequestId"]
    assert naming in response["Error"]["Message"]
    assert response["Error"]["Message"]

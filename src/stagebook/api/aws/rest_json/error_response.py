"""The response to an error, as restJson1 encodes it.

The error's name is in `x-amzn-ErrorType`. The message is in two members of the body: the service model names it
`exceptionMessage`, and botocore reads `message`.
Sources: the error shapes of the service model; "Operation error serialization" of the restJson1 protocol in Smithy.
"""

from collections.abc import Sequence

import msgspec

from stagebook.api.asgi import Header
from stagebook.api.aws.aws_errors import AwsError
from stagebook.api.http_responses import HttpResponse

_encode = msgspec.json.Encoder().encode


def error_response(error: AwsError, *, headers: Sequence[Header]) -> HttpResponse:
    """Return the response to an error. `headers` are the header fields that the service model gives every error."""
    lines = ((b"x-amzn-errortype", error.error_type.encode()), *headers, *error.headers)
    body = _encode({"message": error.message, "exceptionMessage": error.message})
    return HttpResponse(status=error.status, headers=lines, body=body)

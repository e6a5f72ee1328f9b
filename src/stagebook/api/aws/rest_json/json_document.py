"""The JSON document in a request's body. Knows nothing of operations and their rules.

Source: the AWS restJson1 protocol of Smithy.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from stagebook.api.aws.aws_errors import AwsError, ErrorType

_JSON_TYPES = frozenset({b"application/json", b"application/x-amz-json-1.1", b"application/x-amz-json-1.0"})
_decode = msgspec.json.Decoder().decode


def check_content_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise AwsError UnsupportedMediaType unless the body is said to be JSON, or not said to be anything."""
    stated = headers.get(b"content-type")
    if stated is None or stated in _JSON_TYPES:
        return
    if stated.partition(b";")[0].strip().lower() not in _JSON_TYPES:
        raise AwsError(ErrorType.UNSUPPORTED_MEDIA_TYPE, "The content type must be application/json.")


def decode_document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; an empty body is an empty object, and of equal keys the last one counts.

    Raises AwsError Serialization for everything else. Lone surrogates, NaN and numbers beyond any type are not JSON
    values here.
    """
    if not body:
        return {}
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request is nested too deeply.") from None
    if type(document) is not dict:
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request must be a JSON object.")
    return document

"""Parsing the JSON document in a request body.

Source: the AWS restJson1 protocol in Smithy 2.0.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.stage.json_depth import is_too_deep

_JSON_TYPES = frozenset({b"application/json", b"application/x-amz-json-1.1", b"application/x-amz-json-1.0"})
_decode = msgspec.json.Decoder().decode


def check_content_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise AwsError UnsupportedMediaType for a Content-Type that is not JSON. An absent one is accepted."""
    stated = headers.get(b"content-type")
    if stated is None or stated in _JSON_TYPES:
        return
    if stated.partition(b";")[0].strip().lower() not in _JSON_TYPES:
        raise AwsError(ErrorType.UNSUPPORTED_MEDIA_TYPE, "The content type must be application/json.")


def decode_document(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. An empty body is an empty object. The last of several equal keys wins.

    Raises AwsError Serialization for anything but a JSON object in UTF-8. Lone surrogates, NaN, and numbers that no
    type of the service model can hold are not accepted as JSON.
    """
    if not body:
        return {}
    if is_too_deep(body):
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request is nested too deeply.")
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request is not valid JSON in UTF-8.") from None
    if type(document) is not dict:
        raise AwsError(ErrorType.SERIALIZATION, "The body of the request must be a JSON object.")
    return document

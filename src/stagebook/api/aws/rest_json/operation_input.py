"""Reading the input of an operation from an HTTP request, and validating it.

Each member of the input is bound to the path label, a query parameter or a member of the JSON body. One function is
compiled per operation.
Source: the HTTP bindings of the AWS restJson1 protocol in Smithy 2.0.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from stagebook.api.aws.rest_json.json_document import check_content_type, decode_document
from stagebook.api.aws.rest_json.service_model import Location, Member, OperationModel, ShapeKind
from stagebook.stage.errors import InvalidInputError

ReadInput: TypeAlias = Callable[[bytes, bytes, Mapping[bytes, bytes], bytes], dict[str, Any]]
"""Takes the undecoded path label and query, the header fields by name, and the body; returns the validated input."""


def compile_input_reader(operation: OperationModel, validate: Callable[[dict[str, Any]], dict[str, Any]]) -> ReadInput:
    """Return the function that reads an operation's input. `validate` is that of `compile_input`.

    It raises InvalidInputError for a value that breaks a rule of the service model, and AwsError Serialization or
    UnsupportedMediaType for a body that is not a JSON object. Operations without members in the body ignore the body.
    """
    members = operation.input.members
    labels = [member for member in members if member.location is Location.URI]
    in_query = [member for member in members if member.location is Location.QUERY]
    has_body = operation.method == "POST"

    def read(label: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> dict[str, Any]:
        document: dict[str, Any] = {}
        if has_body:
            check_content_type(headers)
            document = decode_document(body)
        for member in labels:
            document[member.wire_name] = _decode(label, member)
        for member in in_query:
            document[member.wire_name] = _query_value(query, member)
        return validate(document)

    return read


def _query_value(query: bytes, member: Member) -> list[str] | str | None:
    """Return all values of a list member, the last value of any other, None when there is none."""
    wanted = member.wire_name.encode()
    values = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if unquote_to_bytes(name) == wanted:
            values.append(_decode(value, member))
    if not values:
        return None
    return values if member.shape.kind is ShapeKind.LIST else values[-1]


def _decode(encoded: bytes, member: Member) -> str:
    # A plus sign stays: it means a space only in HTML form data (RFC 3986 section 2).
    try:
        return unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInputError(member=member.name, rule="must be percent-encoded UTF-8") from None

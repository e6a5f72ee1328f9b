"""The input of an operation, gathered from path, query and body, and validated: one closure per operation.

Source: the HTTP bindings of the AWS restJson1 protocol (Smithy 2.0).
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from stagebook.api.aws.rest_json.json_document import check_content_type, decode_document
from stagebook.api.aws.rest_json.service_model import Kind, Location, Member, OperationModel
from stagebook.api.aws.rest_json.validation import compile_input
from stagebook.stage.errors import InvalidInputError

ReadRequest: TypeAlias = Callable[[bytes, bytes, Mapping[bytes, bytes], bytes], dict[str, Any]]
"""Takes the path's label and the query, both undecoded, the headers and the body; returns the validated input."""


def compile_request(operation: OperationModel) -> ReadRequest:
    """Return what reads an operation's input.

    What it returns raises InvalidInputError for a broken rule, and AwsError Serialization or UnsupportedMediaType for
    a body that is none. Operations without members in the body ignore theirs.
    """
    validate = compile_input(operation.input)
    members = operation.input.members
    labels = [member for member in members if member.location is Location.URI]
    in_query = [member for member in members if member.location is Location.QUERY]
    takes_body = operation.method == "POST"

    def read(label: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> dict[str, Any]:
        document: dict[str, Any] = {}
        if takes_body:
            check_content_type(headers)
            document = decode_document(body)
        for member in labels:
            document[member.wire_name] = _text(label, member)
        for member in in_query:
            document[member.wire_name] = _query_value(query, member)
        return validate(document)

    return read


def _query_value(query: bytes, member: Member) -> list[str] | str | None:
    wanted = member.wire_name.encode()
    values = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if unquote_to_bytes(name) == wanted:
            values.append(_text(value, member))
    if not values:
        return None
    return values if member.shape.kind is Kind.LIST else values[-1]


def _text(encoded: bytes, member: Member) -> str:
    # Percent-decoding only: in a URI a plus sign is a plus sign.
    try:
        return unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInputError(member=member.name, rule="must be percent-encoded UTF-8") from None

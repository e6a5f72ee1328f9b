"""An OpenAPI 3.1 document of the AWS API, made from botocore's service model when it is needed.

It says of each operation what the restJson1 protocol says: where each member of the input is, the rules of each shape,
the output, and the errors by status. Patterns are anchored, because a string must match as a whole. Known defects of
the published shapes are corrected as in `model_rules`.
"""

from typing import Any, TypeAlias

from tests.api.aws.model_rules import OPERATIONS, SHAPES, enum_of, pattern_of
from tests.e2e.aws.valid_inputs import VALID_INPUTS

Document: TypeAlias = dict[str, Any]

_LOCATIONS = {"uri": "path", "querystring": "query"}
_INTEGER = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
COMMON_STATUSES = (400, 402, 403, 404, 405, 413, 415)
"""Statuses of errors that any operation can have: the common errors, and those of malformed HTTP requests."""


def openapi_document() -> Document:
    """Return the document, with an example of each operation's input."""
    paths: dict[str, Document] = {}
    for name, operation in OPERATIONS.items():
        http = operation["http"]
        paths.setdefault(http["requestUri"], {})[http["method"].lower()] = _operation(name, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Amazon IVS Real-Time", "version": "2020-07-14"},
        "paths": paths,
        "components": {"schemas": {name: _schema(name) for name in SHAPES}},
    }


def _operation(name: str, operation: Document) -> Document:
    members = SHAPES[operation["input"]["shape"]]["members"]
    parameters = [_parameter(name, member, shape) for member, shape in members.items() if "location" in shape]
    document = {"operationId": name, "parameters": parameters, "responses": _responses(operation)}
    if operation["http"]["method"] == "POST":
        content = {"schema": _body(operation["input"]["shape"]), "example": _example_body(name)}
        # An empty body is an empty object.
        document["requestBody"] = {
            "required": bool(content["schema"]["required"]),
            "content": {"application/json": content},
        }
    return document


def _parameter(operation: str, member: str, shape: Document) -> Document:
    return {
        "name": shape.get("locationName", member),
        "in": _LOCATIONS[shape["location"]],
        "required": True,
        "schema": _reference(shape["shape"]),
        "example": VALID_INPUTS[operation][member],
        **({"style": "form", "explode": True} if shape["location"] == "querystring" else {}),
    }


def _example_body(operation: str) -> Document:
    members = SHAPES[OPERATIONS[operation]["input"]["shape"]]["members"]
    return {name: value for name, value in VALID_INPUTS[operation].items() if "location" not in members[name]}


def _responses(operation: Document) -> Document:
    output = _body(operation["output"]["shape"])
    # The body of an output without members is empty.
    content = {"content": {"application/json": {"schema": output}}} if output["properties"] else {}
    responses: Document = {"200": {"description": "the output", **content}}
    declared = {SHAPES[error["shape"]]["error"]["httpStatusCode"] for error in operation.get("errors", [])}
    for status in sorted(declared | set(COMMON_STATUSES)):
        responses[str(status)] = {
            "description": "an error",
            "headers": {"x-amzn-ErrorType": {"required": True, "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": _ERROR}},
        }
    return responses


_ERROR = {
    "type": "object",
    "required": ["message", "exceptionMessage"],
    "properties": {"message": {"type": "string"}, "exceptionMessage": {"type": "string"}},
}


def _body(name: str) -> Document:
    """Return the schema of the members of a shape that are in the body."""
    shape = SHAPES[name]
    members = {key: member for key, member in shape["members"].items() if "location" not in member}
    return _structure(members, [key for key in shape.get("required", []) if key in members])


def _structure(members: Document, required: list[str]) -> Document:
    properties = {
        # A null member is an absent one.
        member.get("locationName", key): _reference(member["shape"])
        if key in required
        else {"anyOf": [_reference(member["shape"]), {"type": "null"}]}
        for key, member in members.items()
    }
    return {"type": "object", "properties": properties, "required": required}


def _reference(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(name: str) -> Document:
    shape = SHAPES[name]
    low, high = shape.get("min"), shape.get("max")
    match shape["type"]:
        case "structure":
            return _structure(shape["members"], shape.get("required", []))
        case "list":
            return _present(type="array", items=_reference(shape["member"]["shape"]), minItems=low, maxItems=high)
        case "map":
            return _present(
                type="object",
                propertyNames=_reference(shape["key"]["shape"]),
                additionalProperties=_reference(shape["value"]["shape"]),
                minProperties=low,
                maxProperties=high,
            )
        case "string":
            return _string(name, low, high)
        case "integer":
            return {**_INTEGER, **_present(minimum=low, maximum=high)}
        case "float":
            return _present(type="number", minimum=low, maximum=high)
        case "boolean":
            return {"type": "boolean"}
        case "timestamp":
            return {"type": "string", "format": "date-time"}
    raise ValueError(f"the shape {name} has an unknown type")


def _string(name: str, low: int | None, high: int | None) -> Document:
    if enum_of(name):
        return {"type": "string", "enum": enum_of(name)}
    pattern = pattern_of(name)
    anchored = None if pattern is None else f"^(?:{pattern})$"
    return _present(type="string", minLength=low, maxLength=high, pattern=anchored)


def _present(**members: Any) -> Document:  # noqa: ANN401 - JSON
    return {name: value for name, value in members.items() if value is not None}

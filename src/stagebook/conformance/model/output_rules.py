"""The rules of an output: the required members, and the type, bounds, pattern and enumeration of each.

A member that the model does not have is a violation too: a client that was generated from the model cannot read it. A
member that is null counts as absent (Smithy, restJson1); the API reference says so of members that do not apply.
"""

import re
from collections.abc import Iterator

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from stagebook.conformance.model.api_model import WRONG_PATTERNS
from stagebook.conformance.wire.wire_answer import Json, WireAnswer

_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "float": (int, float),
    "boolean": bool,
    "timestamp": str,
    "list": list,
    "map": dict,
    "structure": dict,
}


def output_violations(answer: WireAnswer, operation: OperationModel) -> list[str]:
    """Return a text for each broken rule of a successful answer."""
    shape = operation.output_shape
    in_body = {n: m for n, m in shape.members.items() if "location" not in m.serialization} if shape else {}
    if shape is None or not in_body:
        return [] if answer.body in {b"", b"{}"} else [f"a body of {len(answer.body)} bytes; the model has no members"]
    document = answer.json()
    headers = {f"{name} is absent" for name in shape.members if name not in in_body}
    return [text for text in _structure(shape, document, "") if text not in headers]


def header_violations(answer: WireAnswer, operation: OperationModel) -> list[str]:
    """Return a text for each header that the model makes a member of the output and that is absent."""
    members = operation.output_shape.members.values() if operation.output_shape else ()
    names = [m.serialization["name"] for m in members if m.serialization.get("location") == "header"]
    return [f"the header {name} is absent" for name in names if not answer.headers.get(name.lower())]


def _value(shape: Shape, value: Json, path: str) -> Iterator[str]:
    if not _is_of_type(shape.type_name, value):
        yield f"{path} is {type(value).__name__} and must be of type {shape.type_name}"
    elif isinstance(shape, StructureShape):
        yield from _structure(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _bounds(shape, len(value), path)
        for index, item in enumerate(value):
            yield from _value(shape.member, item, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        yield from _bounds(shape, len(value), path)
        for key, item in value.items():
            yield from _value(shape.key, key, f"{path} key")
            yield from _value(shape.value, item, f"{path}.{key}")
    elif isinstance(shape, StringShape):
        yield from _string(shape, value, path)
    else:
        yield from _scalar(shape, value, path)


def _is_of_type(kind: str, value: Json) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _scalar(shape: Shape, value: Json, path: str) -> Iterator[str]:
    if shape.type_name == "timestamp" and _TIMESTAMP.fullmatch(value) is None:
        yield f"{path} is not an ISO 8601 time: {value}"
    elif shape.type_name in {"integer", "float"}:
        yield from _bounds(shape, value, path)


def _structure(shape: StructureShape, value: Json, path: str) -> Iterator[str]:
    start = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"{start}{name} is absent"
    for name, item in value.items():
        if name not in shape.members:
            yield f"{start}{name} is not in the model"
        elif item is not None:
            yield from _value(shape.members[name], item, f"{start}{name}")


def _string(shape: StringShape, value: str, path: str) -> Iterator[str]:
    yield from _bounds(shape, len(value), path)
    # An unset fill mode is "" (AWS CLI reference, start-composition).
    if shape.enum and value not in shape.enum and (shape.name, value) != ("VideoFillMode", ""):
        yield f"{path} is not in the enumeration of {shape.name}"
    pattern = shape.metadata.get("pattern")
    # Not shown: it may be a token or a stream key.
    if pattern and shape.name not in WRONG_PATTERNS and re.fullmatch(pattern, value) is None:
        yield f"{path} does not match the pattern of {shape.name}"


def _bounds(shape: Shape, size: float, path: str) -> Iterator[str]:
    minimum, maximum = shape.metadata.get("min", size), shape.metadata.get("max", size)
    if not minimum <= size <= maximum:
        yield f"{path} is out of the bounds of {shape.name}: {size}"

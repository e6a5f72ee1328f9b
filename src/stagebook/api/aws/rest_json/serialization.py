"""Serialization of outputs. One function per shape is compiled from the service model.

Members that are None are left out, absent required collections are empty, and timestamps become ISO 8601. Members that
are bound to header fields have constant values (`header_members`). A member that the service model lacks is an error of
the handler and raises.
"""

from collections.abc import Callable, Mapping
from typing import Any, Never, TypeAlias

import msgspec

from stagebook.api.aws.rest_json.service_model import Location, Member, Shape, ShapeKind
from stagebook.stage.timestamps import iso8601

ToWire: TypeAlias = Callable[[Any], Any]
"""Turns an output value of a handler into a JSON value."""

_encode = msgspec.json.Encoder().encode


class UnknownOutputMemberError(LookupError):
    """A handler returned a member that the output shape lacks, or left out one that it requires."""


def compile_output(shape: Shape) -> Callable[[Mapping[str, Any]], bytes]:
    """Return the function that serialises a whole output, a mapping by member name, to the body of the response.

    An output without members in the body is an empty body, as the API reference documents for each such operation.
    """
    if not any(member.location is Location.BODY for member in shape.members):
        return _empty_body
    write = _structure(shape)

    def serialise(result: Mapping[str, Any]) -> bytes:
        return _encode(write(result))

    return serialise


def has_modelled_headers(shape: Shape) -> bool:
    """Return whether the output has members that are bound to header fields."""
    return any(member.location is Location.HEADER for member in shape.members)


def _empty_body(result: Mapping[str, Any]) -> bytes:
    if result:
        raise UnknownOutputMemberError(f"an output without members got {', '.join(result)}")
    return b""


def _compile(shape: Shape) -> ToWire | None:
    """Return the conversion of values of `shape`; None when they are JSON values already."""
    match shape.kind:
        case ShapeKind.STRUCTURE:
            return _structure(shape)
        case ShapeKind.LIST:
            return _list(shape)
        case ShapeKind.TIMESTAMP:
            return iso8601
        case _:
            return None


def _structure(shape: Shape) -> ToWire:
    members = [member for member in shape.members if member.location is Location.BODY]
    writers = {member.name: (member.wire_name, _compile(member.shape)) for member in members}
    required = tuple(member for member in members if member.required)

    def write(value: Mapping[str, Any]) -> dict[str, Any]:
        written = {}
        # Iterating over the output, not over the shape, finds members that the shape lacks.
        for name, member in value.items():
            if name not in writers:
                raise UnknownOutputMemberError(f"{shape.name} has no member {name}")
            if member is None:
                continue
            wire_name, writer = writers[name]
            written[wire_name] = member if writer is None else writer(member)
        for absent in required:
            if absent.wire_name not in written:
                written[absent.wire_name] = _empty_collection(shape, absent)
        return written

    return write


def _list(shape: Shape) -> ToWire | None:
    # Lists of JSON values are passed on as they are, without a copy.
    write_item = _compile(shape.item) if shape.item is not None else None
    if write_item is None:
        return None

    def write(value: list[Any]) -> list[Any]:
        return [write_item(item) for item in value]

    return write


def _empty_collection(shape: Shape, member: Member) -> list[Never] | dict[Never, Never]:
    """Return the value of an absent required member; UnknownOutputMemberError unless it is a collection."""
    match member.shape.kind:
        case ShapeKind.LIST:
            return []
        case ShapeKind.MAP:
            return {}
        case _:
            raise UnknownOutputMemberError(f"{shape.name} requires {member.name}")

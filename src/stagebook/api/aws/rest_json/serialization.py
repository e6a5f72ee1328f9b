"""Output, compiled from the service model: one closure per shape that turns what a handler answers into JSON values.

Members that are None are left out, required collections are always there, times become ISO 8601. Members that travel
in headers are the door's own (`headers.py`). A member the model does not know is a mistake of ours and raises.
"""

from collections.abc import Callable, Mapping
from typing import Any, Never, TypeAlias

import msgspec

from stagebook.api.aws.rest_json.service_model import Kind, Location, Member, Shape
from stagebook.api.aws.rest_json.timestamps import iso8601

Writer: TypeAlias = Callable[[Any], Any]

_encode = msgspec.json.Encoder().encode


class UnknownOutputMemberError(LookupError):
    """A handler answered with a member that the output shape lacks, or without one that it requires."""


def compile_output(shape: Shape) -> Callable[[Mapping[str, Any]], bytes]:
    """Return what serialises a whole output: members in the model's names in, the body out.

    An output without members in the body has an empty body, as the API reference says of each such operation.
    """
    if not any(member.location is Location.BODY for member in shape.members):
        return _empty_body
    write = _structure(shape)

    def serialise(result: Mapping[str, Any]) -> bytes:
        return _encode(write(result))

    return serialise


def has_modelled_headers(shape: Shape) -> bool:
    """Return whether the output's model has members that travel in response headers."""
    return any(member.location is Location.HEADER for member in shape.members)


def _empty_body(result: Mapping[str, Any]) -> bytes:
    if result:
        raise UnknownOutputMemberError(f"an output without members was answered with {', '.join(result)}")
    return b""


def _compile(shape: Shape) -> Writer | None:
    """Return what changes values of `shape` for the wire; None when they go out as they are."""
    match shape.kind:
        case Kind.STRUCTURE:
            return _structure(shape)
        case Kind.LIST:
            return _list(shape)
        case Kind.TIMESTAMP:
            return iso8601
        case _:
            return None


def _structure(shape: Shape) -> Writer:
    members = [member for member in shape.members if member.location is Location.BODY]
    writers = {member.name: (member.wire_name, _compile(member.shape)) for member in members}
    required = tuple(member for member in members if member.required)

    def write(value: Mapping[str, Any]) -> dict[str, Any]:
        written = {}
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


def _list(shape: Shape) -> Writer | None:
    write_item = _compile(shape.item) if shape.item is not None else None
    if write_item is None:
        return None

    def write(value: list[Any]) -> list[Any]:
        return [write_item(item) for item in value]

    return write


def _empty_collection(shape: Shape, member: Member) -> list[Never] | dict[Never, Never]:
    match member.shape.kind:
        case Kind.LIST:
            return []
        case Kind.MAP:
            return {}
        case _:
            raise UnknownOutputMemberError(f"{shape.name} requires {member.name}")

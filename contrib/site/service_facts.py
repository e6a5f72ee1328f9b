"""What the pages of the operations show of botocore's service model: members, types, limits, errors.

Names, types and limits are facts of the interface. The model's `documentation` strings are AWS's text and are not read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from botocore.loaders import Loader

from stagebook.api.aws.rest_json.service_model import (
    API_VERSION,
    SERVICE,
    Location,
    Shape,
    ShapeKind,
    load_service_model,
)

MODEL = load_service_model()

_RAW: Mapping[str, Any] = Loader().load_service_model(SERVICE, "service-2", API_VERSION)
"""The service model as botocore has it: MODEL has no errors."""


class MemberFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One member of an input or output at any depth. `path` is like `stage.endpoints.whip` or `tags.*`."""

    path: str
    kind: str
    required: bool
    limits: str


class ErrorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An error that an operation has in the model."""

    name: str
    status: int


def errors(operation: str) -> tuple[ErrorFacts, ...]:
    """Return the errors of an operation in the model's order."""
    names = [error["shape"] for error in _RAW["operations"][operation].get("errors", ())]
    return tuple(ErrorFacts(name=name, status=_RAW["shapes"][name]["error"]["httpStatusCode"]) for name in names)


def members(shape: Shape) -> Iterator[MemberFacts]:
    """Yield the members of a structure, each followed by its own members. Response headers are left out."""
    yield from _members(shape, prefix="")


def _members(shape: Shape, *, prefix: str) -> Iterator[MemberFacts]:
    for member in shape.members:
        if member.location is Location.HEADER:
            continue
        path = f"{prefix}{member.name}"
        yield MemberFacts(
            path=path, kind=_kind(member.shape), required=member.required, limits=", ".join(_limits(member.shape))
        )
        yield from _inner(member.shape, path)


def _inner(shape: Shape, path: str) -> Iterator[MemberFacts]:
    """Yield the members of what is inside: of a structure, or of the structures in a list or map."""
    if shape.kind is ShapeKind.STRUCTURE:
        yield from _members(shape, prefix=f"{path}.")
    elif shape.item is not None:
        yield from _inner(shape.item, f"{path}[]" if shape.kind is ShapeKind.LIST else f"{path}.*")


def _kind(shape: Shape) -> str:
    match shape.kind:
        case ShapeKind.LIST if shape.item is not None:
            return f"list of {_plural(shape.item.kind)}"
        case ShapeKind.MAP if shape.item is not None:
            return f"map of {_plural(shape.item.kind)}"
        case ShapeKind.TIMESTAMP:
            return "timestamp"
        case kind:
            return kind.value


def _plural(kind: ShapeKind) -> str:
    return f"{kind.value}s"


def _limits(shape: Shape) -> Iterator[str]:
    """Yield the limits on a value, and on the items or the keys and values in it."""
    if shape.minimum is not None or shape.maximum is not None:
        yield f"{_range(shape.minimum, shape.maximum)}{_unit(shape.kind)}"
    if shape.enum:
        yield "one of " + ", ".join(f"`{value}`" for value in shape.enum)
    if shape.pattern is not None:
        yield f"pattern `{shape.pattern}`"
    if shape.key is not None:
        yield from (f"keys: {limit}" for limit in _limits(shape.key))
    if shape.item is not None and shape.item.kind is not ShapeKind.STRUCTURE:
        yield from (f"each: {limit}" for limit in _limits(shape.item))


def _range(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return f"at least {minimum:,g}"
    if minimum == maximum:
        return f"{maximum:,.10g}"
    return f"{minimum or 0:,.10g} to {maximum:,.10g}"


def _unit(kind: ShapeKind) -> str:
    match kind:
        case ShapeKind.STRING:
            return " characters"
        case ShapeKind.LIST | ShapeKind.MAP:
            return " items"
        case _:
            return ""

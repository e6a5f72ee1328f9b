"""Inputs that break exactly one rule of the service model, for each member at any depth.

Each is the smallest valid input with one invalid value in it. The names of the rules are part of the names of checks.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import msgspec
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from stagebook.conformance.model.api_model import WRONG_PATTERNS, input_shape
from stagebook.conformance.model.sample_values import ARN_KINDS, SampleValues
from stagebook.conformance.wire.wire_answer import Json

Place: TypeAlias = Callable[[Json], Json]
"""Puts a value in its place and returns the whole input."""

WRONG_TYPES: Mapping[str, Json] = {
    "string": {"a": 1},
    "integer": "text",
    "float": "text",
    "boolean": "text",
    "list": "text",
    "map": ["a"],
    "structure": "text",
}
"""Values that no lenient parser turns into the right type."""


class BrokenInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input, the member at fault, and the rule of the model that it breaks."""

    member: str
    """The path, for instance `participantTokenConfigurations.item.duration`."""
    rule: str
    trait: str
    """The rule in the words of the model, for instance `StageName, length at most 128`."""
    members: Mapping[str, Json]


def broken_inputs(operation: OperationModel, samples: SampleValues) -> list[BrokenInput]:
    """Return all inputs of the operation that break one rule and that an HTTP request can express."""
    return list(_structure(input_shape(operation), "", samples.input(operation), lambda value: value, samples))


def _structure(
    shape: StructureShape, path: str, valid: dict[str, Json], place: Place, samples: SampleValues
) -> Iterator[BrokenInput]:
    for name, member in shape.members.items():
        here = f"{path}.{name}" if path else name
        location = member.serialization.get("location")
        if name in shape.required_members and location != "uri":
            rest = {other: value for other, value in valid.items() if other != name}
            yield BrokenInput(
                member=here, rule="absent", trait=f"{shape.name}, required member {name}", members=place(rest)
            )
        yield from _value(
            member, here, _member_place(place, valid, name), samples, has_type=location not in {"uri", "querystring"}
        )


def _member_place(place: Place, valid: dict[str, Json], name: str) -> Place:
    return lambda value: place({**valid, name: value})


def _value(
    shape: Shape, path: str, place: Place, samples: SampleValues, *, has_type: bool = True
) -> Iterator[BrokenInput]:
    if has_type:
        yield BrokenInput(
            member=path,
            rule="wrong-type",
            trait=f"{shape.name}, type {shape.type_name}",
            members=place(WRONG_TYPES[shape.type_name]),
        )
    for rule, trait, value in _violations(shape, samples):
        yield BrokenInput(member=path, rule=rule, trait=f"{shape.name}, {trait}", members=place(value))
    if isinstance(shape, StructureShape):
        yield from _structure(shape, path, samples.structure(shape), place, samples)
    elif isinstance(shape, ListShape):
        yield from _value(shape.member, f"{path}.item", lambda item: place([item]), samples, has_type=has_type)
    elif isinstance(shape, MapShape):
        for rule, trait, key in _violations(shape.key, samples):
            yield BrokenInput(
                member=f"{path}.key", rule=rule, trait=f"{shape.key.name}, {trait}", members=place({key: "value"})
            )
        yield from _value(shape.value, f"{path}.value", lambda item: place({"key": item}), samples)


def _violations(shape: Shape, samples: SampleValues) -> Iterator[tuple[str, str, Json]]:
    """Yield the name of each broken rule, its words, and a value that breaks it and no other."""
    if isinstance(shape, StringShape):
        yield from _string_violations(shape, samples)
    elif shape.type_name in {"integer", "float"}:
        yield from _number_violations(shape)
    elif isinstance(shape, ListShape):
        yield from _list_violations(shape, samples)
    elif isinstance(shape, MapShape) and "max" in shape.metadata:
        maximum = int(shape.metadata["max"])
        entries = {f"key{number}": "value" for number in range(maximum + 1)}
        yield "too-many", f"at most {maximum} entries", entries


def _number_violations(shape: Shape) -> Iterator[tuple[str, str, Json]]:
    if "min" in shape.metadata:
        yield "below-minimum", f"minimum {shape.metadata['min']}", int(shape.metadata["min"]) - 1
    if "max" in shape.metadata:
        yield "above-maximum", f"maximum {shape.metadata['max']}", int(shape.metadata["max"]) + 1


def _list_violations(shape: ListShape, samples: SampleValues) -> Iterator[tuple[str, str, Json]]:
    item = samples.value(shape.member)
    if shape.metadata.get("min"):
        yield "too-few", f"at least {shape.metadata['min']} items", [item] * (int(shape.metadata["min"]) - 1)
    if "max" in shape.metadata:
        yield "too-many", f"at most {shape.metadata['max']} items", [item] * (int(shape.metadata["max"]) + 1)


def _string_violations(shape: StringShape, samples: SampleValues) -> Iterator[tuple[str, str, Json]]:
    if shape.enum:
        yield "not-in-enum", "an enumeration", "NOT_A_VALUE"
        return
    valid, metadata = str(samples.value(shape)), shape.metadata
    minimum = int(metadata.get("min", 0))
    # An ARN cannot break its length alone: it would break its pattern, and the path of a URI would be another one.
    if minimum > 0 and shape.name not in ARN_KINDS:
        yield "too-short", f"length at least {minimum}", valid[: minimum - 1]
    if "max" in metadata:
        yield "too-long", f"length at most {metadata['max']}", valid + "a" * (int(metadata["max"]) + 1 - len(valid))
    if "pattern" in metadata and (shape.name not in WRONG_PATTERNS or shape.name == "PublicKeyMaterial"):
        yield "pattern", "pattern", "!" * max(1, minimum)
    if shape.name in ARN_KINDS and shape.name != "ResourceArn":
        other = "stage" if ARN_KINDS[shape.name] != "stage" else "channel"
        yield "other-resource-type", "pattern: the type of resource", samples.arn(other)

"""Invalid inputs of every operation, derived from botocore's service model.

For each member, at any depth, each trait of its shape (type, minimum, maximum, pattern, enumeration, required) gives
values that violate this trait and no other. Each invalid input is a valid input with one such value. OVERRIDDEN_RULES
lists the traits that Stagebook replaces.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from tests.e2e.aws.valid_inputs import MODEL, VALID_INPUTS, Json, Raw

OVERRIDDEN_RULES = {("ResourceArn", "pattern"), ("IngestProtocol", "enum")}
"""No ARN matches the model's pattern of ResourceArn; test_input_rules.py has its own cases for it. A documented command
of the AWS CLI sends IngestProtocol in lower case."""

WRONG_TYPES: Mapping[str, tuple[Json, ...]] = {
    "string": (5, True, ["a"], {"a": "b"}),
    "integer": ("5", 5.5, True, [5], {"a": 5}, 2**31, -(2**31) - 1, 10**30),
    "float": ("5", True, [5], {"a": 5}, 10**400),
    "boolean": ("true", 1, [True], {"a": True}),
    "list": ("a", 5, {"a": "b"}, [None]),
    "map": ("a", 5, ["a"], {"a": None}),
    "structure": ("a", 5, ["a"]),
}


class InvalidInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input that violates one rule, and the member that the error message must name."""

    operation: str
    rule: str
    path: tuple[str | int, ...]
    request: Json

    @property
    def member(self) -> str:
        """The name of the invalid member, or of the list that has the invalid item."""
        return next(str(step) for step in reversed(self.path) if isinstance(step, str))

    def __str__(self) -> str:
        return f"{self.operation}-{'.'.join(map(str, self.path))}-{self.rule}"


def invalid_inputs(operation: str) -> list[InvalidInput]:
    """Return the inputs of the operation that violate exactly one rule of the model."""
    valid = VALID_INPUTS[operation]
    shape = MODEL["shapes"][MODEL["operations"][operation]["input"]["shape"]]
    return [
        InvalidInput(operation=operation, rule=rule, path=path, request=_replaced(valid, path, value))
        for path, rule, value in _structure_cases(shape, valid, ())
    ]


ABSENT = object()
"""Stands for a member that is removed from the input."""

Case: TypeAlias = tuple[tuple[str | int, ...], str, Json]
"""The path of a member, the violated rule, and the invalid value."""


def _structure_cases(shape: Raw, valid: Json, path: tuple[str | int, ...]) -> Iterator[Case]:
    assert set(shape.get("members", {})) == set(valid), "a valid input must have every member"
    for name, member in shape.get("members", {}).items():
        here = (*path, name)
        if name in shape.get("required", ()):
            yield here, "absent", ABSENT
            yield here, "null", None
        yield from _value_cases(member["shape"], valid[name], here)


def _value_cases(name: str, valid: Json, path: tuple[str | int, ...]) -> Iterator[Case]:
    shape = MODEL["shapes"][name]
    for number, value in enumerate(WRONG_TYPES[shape["type"]]):
        yield path, f"type{number}", value
    for rule, value in _violations(shape, valid):
        if (name, rule) not in OVERRIDDEN_RULES:
            yield path, rule, value
    match shape["type"]:
        case "structure":
            yield from _structure_cases(shape, valid, path)
        case "list":
            yield from _value_cases(shape["member"]["shape"], valid[0], (*path, 0))
        case "map":
            key, value = next(iter(valid.items()))
            for rule, invalid_key in _violations(MODEL["shapes"][shape["key"]["shape"]], key):
                yield path, f"key-{rule}", {invalid_key: value}
            yield from _value_cases(shape["value"]["shape"], value, (*path, key))


def _violations(shape: Raw, valid: Json) -> Iterator[tuple[str, Json]]:
    """Yield a rule and an invalid value for each bound, pattern and enumeration of a shape."""
    match shape["type"]:
        case "integer" | "float":
            yield from _number_violations(shape)
        case "string":
            yield from _string_violations(shape, valid)
        case "list" if "max" in shape:
            yield "maximum", valid * (shape["max"] + 1)
        case "map" if "max" in shape:
            yield "maximum", {f"{number}": "" for number in range(shape["max"] + 1)}


def _number_violations(shape: Raw) -> Iterator[tuple[str, int]]:
    if "min" in shape:
        yield "minimum", shape["min"] - 1
    if "max" in shape:
        yield "maximum", shape["max"] + 1


def _string_violations(shape: Raw, valid: str) -> Iterator[tuple[str, str]]:
    if shape.get("min", 0) > 0:
        yield "minimum", valid[: shape["min"] - 1]
    if "max" in shape:
        yield "maximum", valid + "a" * (shape["max"] + 1 - len(valid))
    if "pattern" in shape:
        yield "pattern", "!" + valid[1:]
        yield "pattern-end", valid[:-1] + "\n"
    if "enum" in shape:
        yield "enum", valid.lower()
        yield "enum-empty", ""


def _replaced(valid: Json, path: tuple[str | int, ...], value: Json) -> Json:
    step, *rest = path
    inner = value if not rest else _replaced(valid[step], tuple(rest), value)
    if isinstance(step, int):
        return [*valid[:step], inner, *valid[step + 1 :]]
    changed = {**valid, step: inner}
    if inner is ABSENT:
        del changed[step]
    return changed

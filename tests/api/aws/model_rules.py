"""A test oracle: a second, independent implementation of the input rules of the service model.

It reads botocore's JSON directly and shares no code with the product. `conforms` checks a value, `valid` generates a
conforming value, and `violations` generates values that each break one rule.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from botocore.loaders import Loader

Json: TypeAlias = Any
"""A decoded JSON value of any type."""

MODEL: dict[str, Any] = Loader().load_service_model("ivs-realtime", "service-2", "2020-07-14")
SHAPES: dict[str, Any] = MODEL["shapes"]
OPERATIONS: dict[str, Any] = MODEL["operations"]

_ARN = "arn:aws:ivs:us-west-2:123456789012:{}/abcdABCDefgh"
_PEM = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE\n-----END PUBLIC KEY-----\n"
_EXAMPLES = {"StageSessionId": "st-a1b2c3d4e5f6g", "PublicKeyMaterial": _PEM, "ResourceArn": _ARN.format("stage")}
_DEFECTIVE_PATTERNS = {
    "ResourceArn": "arn:aws:ivs:[a-z0-9-]+:[0-9]+:[a-z-]+/[a-zA-Z0-9-]+",
    "PublicKeyMaterial": (
        r"[\s\S]*-----BEGIN PUBLIC KEY-----\r?\n[a-zA-Z0-9+/=\r\n]+\r?\n-----END PUBLIC KEY-----[\s\S]*"
    ),
}
_MISSING_VALUES = {"ParticipantRecordingFilterByRecordingState": ["DISABLED"], "IngestProtocol": ["rtmp", "rtmps"]}
_WRONG_TYPES: dict[str, list[Any]] = {
    "string": [5, True, [], {}],
    "integer": ["5", 5.0, 5.5, True, [], 2**31, -(2**31) - 1, 10**400],
    "float": ["5", True, [], 1e300],
    "boolean": ["true", 1, 0, "", []],
    "list": ["x", {}, 5],
    "map": ["x", [], 5],
    "structure": ["x", [], 5],
}

Path = tuple[str | int, ...]


def enum_of(name: str) -> list[str]:
    """Return the values of an enum shape, with those that the model lacks and the documentation uses."""
    return [*SHAPES[name].get("enum", []), *_MISSING_VALUES.get(name, [])]


def pattern_of(name: str) -> str | None:
    """Return the pattern of a string shape, corrected where the published one is defective."""
    pattern: str | None = _DEFECTIVE_PATTERNS.get(name, SHAPES[name].get("pattern"))
    return pattern


def conforms(name: str, value: Json) -> bool:
    """Return whether a JSON value conforms to a shape."""
    shape = SHAPES[name]
    low, high = shape.get("min", float("-inf")), shape.get("max", float("inf"))
    match shape["type"]:
        case "string":
            pattern = pattern_of(name)
            return (
                isinstance(value, str)
                and low <= len(value) <= high
                and (pattern is None or re.fullmatch(pattern, value) is not None)
                and (not enum_of(name) or value in enum_of(name))
            )
        case "integer":
            return (
                isinstance(value, int)
                and not isinstance(value, bool)
                and max(low, -(2**31)) <= value <= min(high, 2**31 - 1)
            )
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return (
                isinstance(value, list)
                and low <= len(value) <= high
                and all(conforms(shape["member"]["shape"], item) for item in value)
            )
        case "map":
            return (
                isinstance(value, dict)
                and low <= len(value) <= high
                and all(conforms(shape["key"]["shape"], key) for key in value)
                and all(conforms(shape["value"]["shape"], item) for item in value.values())
            )
    return isinstance(value, dict) and all(
        conforms(member["shape"], value[key]) if value.get(key) is not None else key not in shape.get("required", [])
        for key, member in shape["members"].items()
    )


def valid(name: str) -> Json:
    """Return a conforming value with every member, and one item or entry in each collection."""
    shape = SHAPES[name]
    match shape["type"]:
        case "string":
            return _valid_string(name, shape)
        case "integer":
            return shape.get("min", 1)
        case "float":
            return float(shape.get("min", 1))
        case "boolean":
            return True
        case "list":
            return [valid(shape["member"]["shape"])]
        case "map":
            return {valid(shape["key"]["shape"]): valid(shape["value"]["shape"])}
    return {key: valid(member["shape"]) for key, member in shape["members"].items()}


def _valid_string(name: str, shape: dict[str, Any]) -> str:
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    if "enum" in shape:
        return str(shape["enum"][0])
    low: int = shape.get("min", 1)
    arn = re.search(r"\[0-9\]\+:([a-z-]+)/", shape.get("pattern", ""))
    if arn:
        return _ARN.format(arn.group(1))
    return "a" * max(1, low)


def violations(name: str) -> Iterator[tuple[Path, str, Any]]:
    """Yield (path, rule, whole value) for values that break one rule each."""
    yield from _violations(name, valid(name))


def _violations(name: str, whole: Json) -> Iterator[tuple[Path, str, Any]]:
    shape = SHAPES[name]
    for wrong in _WRONG_TYPES[shape["type"]]:
        yield (), f"type {wrong!r:.20}", wrong
    yield from _own_violations(name, shape, whole)
    match shape["type"]:
        case "structure":
            for key, member in shape["members"].items():
                if key in shape.get("required", []):
                    yield (key,), "required", {k: v for k, v in whole.items() if k != key}
                    yield (key,), "null", {**whole, key: None}
                yield from _within(key, whole, _violations(member["shape"], whole[key]))
        case "list":
            yield (0,), "null item", [None]
            yield from _within(0, whole, _violations(shape["member"]["shape"], whole[0]))
        case "map":
            key = next(iter(whole))
            yield (key,), "null entry", {key: None}
            yield from _within(key, whole, _violations(shape["value"]["shape"], whole[key]))
            for _, rule, wrong in _own_key_violations(shape["key"]["shape"], key):
                yield (), f"key {rule}", {wrong: whole[key]}


def _within(step: str | int, whole: Json, inner: Iterator[tuple[Path, str, Any]]) -> Iterator[tuple[Path, str, Any]]:
    for path, rule, wrong in inner:
        changed = copy.deepcopy(whole)
        changed[step] = wrong
        yield (step, *path), rule, changed


def _own_key_violations(name: str, key: str) -> Iterator[tuple[Path, str, Any]]:
    return _own_violations(name, SHAPES[name], key)


def _own_violations(name: str, shape: dict[str, Any], whole: Json) -> Iterator[tuple[Path, str, Any]]:
    kind, low, high = shape["type"], shape.get("min"), shape.get("max")
    if kind == "string":
        yield from _string_violations(name, whole, low, high)
    elif kind in ("integer", "float"):
        yield from [((), "min", low - 1)] if low is not None else []
        yield from [((), "max", high + 1)] if high is not None else []
    elif kind == "list":
        yield from [((), "min items", [])] if low else []
        yield from [((), "max items", whole * (high + 1))] if high is not None else []
    elif kind == "map" and high is not None:
        yield (), "max entries", {f"{i}": next(iter(whole.values())) for i in range(high + 1)}


def _string_violations(name: str, whole: str, low: int | None, high: int | None) -> Iterator[tuple[Path, str, Any]]:
    if low:
        yield (), "min length", whole[: low - 1]
    if high is not None:
        yield (), "max length", whole + "a" * (high + 1 - len(whole))
    if pattern_of(name):
        yield (), "pattern", "!" * max(low or 0, 1)
        if name != "PublicKeyMaterial":  # which may have text around it
            yield from (((), f"pattern {end!r}", whole + end) for end in ("\n", " ", "é", "!"))
    if enum_of(name):
        yield from (((), "enum", wrong) for wrong in ("NOPE", "", whole.title(), whole + "\n", whole + " "))

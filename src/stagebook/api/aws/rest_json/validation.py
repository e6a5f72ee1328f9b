"""Validation of inputs. One function per shape is compiled from the service model.

A check takes a decoded JSON value and returns it without unknown members and nulls. The first broken rule, in the order
of the service model, raises an error with the path of the member and the rule, as in
`participantTokenConfigurations[3].userId: must have 0 to 128 characters`. The value itself is never in the message,
because it may be a secret.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Never, TypeAlias, cast

from stagebook.api.aws.rest_json.service_model import FLOAT_MAXIMUM, INTEGER_MAXIMUM, INTEGER_MINIMUM, Shape, ShapeKind
from stagebook.stage.errors import InvalidInputError

Check: TypeAlias = Callable[[object], object]
"""Takes a decoded JSON value and returns the accepted one; raises BrokenRuleError."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


class BrokenRuleError(Exception):
    """A value breaks a rule. Each enclosing structure, list or map adds its step to the path as the error passes it."""

    def __init__(self, rule: str, *steps: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.steps = list(steps)

    def within(self, step: str) -> None:
        """Add the step of the enclosing member (`.name`) or item (`[3]`)."""
        self.steps.append(step)

    @property
    def path(self) -> str:
        """The path of the value from the input, as in `participantTokenConfigurations[3].userId`."""
        return "".join(reversed(self.steps)).removeprefix(".")


def compile_input(shape: Shape) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the function that validates a whole input. It raises InvalidInputError."""
    check = compile_check(shape)

    def validate(document: dict[str, Any]) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", check(document))
        except BrokenRuleError as broken:
            raise InvalidInputError(member=broken.path, rule=broken.rule) from None

    return validate


def compile_check(shape: Shape) -> Check:
    """Return the check of all rules of `shape` and of the shapes in it."""
    return _COMPILERS[shape.kind](shape)


def _structure(shape: Shape) -> Check:
    # Types are compared with `is`: a JSON decoder returns no subclasses, and it is faster than isinstance.
    rules = tuple((m.wire_name, m.name, m.required, compile_check(m.shape)) for m in shape.members)

    def check(value: object) -> object:
        if type(value) is not dict:
            raise BrokenRuleError("must be an object")
        clean = {}
        for wire_name, name, required, check_member in rules:
            # A null member is treated as absent.
            member = value.get(wire_name)
            if member is None:
                if required:
                    raise BrokenRuleError("is required", f".{name}")
                continue
            try:
                clean[name] = check_member(member)
            except BrokenRuleError as broken:
                broken.within(f".{name}")
                raise
        return clean

    return check


def _list(shape: Shape) -> Check:
    check_item = compile_check(_part(shape.item))
    minimum, maximum = _bounds(shape)
    size_rule = f"must have {_range_text(shape)} items"

    def check(value: object) -> object:
        if type(value) is not list:
            raise BrokenRuleError("must be a list")
        if not minimum <= len(value) <= maximum:
            raise BrokenRuleError(size_rule)
        clean = []
        for index, item in enumerate(value):
            try:
                clean.append(check_item(item))
            except BrokenRuleError as broken:
                broken.within(f"[{index}]")
                raise
        return clean

    return check


def _map(shape: Shape) -> Check:
    check_key, check_item = compile_check(_part(shape.key)), compile_check(_part(shape.item))
    minimum, maximum = _bounds(shape)
    size_rule = f"must have {_range_text(shape)} entries"

    def check(value: object) -> object:
        if type(value) is not dict:
            raise BrokenRuleError("must be an object")
        if not minimum <= len(value) <= maximum:
            raise BrokenRuleError(size_rule)
        clean = {}
        for key, item in value.items():
            try:
                check_key(key)
            except BrokenRuleError as broken:
                raise BrokenRuleError(f"has a key that {broken.rule}") from None
            try:
                clean[key] = check_item(item)
            except BrokenRuleError as broken:
                broken.within(_key_step(key))
                raise
        return clean

    return check


def _string(shape: Shape) -> Check:
    if shape.enum:
        return _enumeration(shape)
    minimum, maximum = _bounds(shape)
    length_rule = f"must have {_range_text(shape)} characters"
    # fullmatch, because the published patterns are not anchored: `[a-z]*` would match a part of any string.
    matches = re.compile(shape.pattern).fullmatch if shape.pattern else None
    pattern_rule = f"must match {shape.pattern} as a whole"

    def check(value: object) -> object:
        if type(value) is not str:
            raise BrokenRuleError("must be a string")
        # Lengths count Unicode code points, not bytes (Smithy 2.0, length trait).
        if not minimum <= len(value) <= maximum:
            raise BrokenRuleError(length_rule)
        if matches is not None and matches(value) is None:
            raise BrokenRuleError(pattern_rule)
        return value

    return check


def _enumeration(shape: Shape) -> Check:
    values = frozenset(shape.enum)
    enum_rule = f"must be one of {', '.join(shape.enum)}" if len(values) > 1 else f"must be {shape.enum[0]}"

    def check(value: object) -> object:
        if type(value) is not str:
            raise BrokenRuleError("must be a string")
        if value not in values:
            raise BrokenRuleError(enum_rule)
        return value

    return check


def _integer(shape: Shape) -> Check:
    minimum = INTEGER_MINIMUM if shape.minimum is None else shape.minimum
    maximum = INTEGER_MAXIMUM if shape.maximum is None else shape.maximum
    rule = f"must be an integer from {minimum} to {maximum}"

    def check(value: object) -> object:
        # Not isinstance: True is an int in Python. 5.0 and "5" are not integers in restJson1.
        if type(value) is not int or not minimum <= value <= maximum:
            raise BrokenRuleError(rule)
        return value

    return check


def _float(shape: Shape) -> Check:
    minimum = -FLOAT_MAXIMUM if shape.minimum is None else shape.minimum
    maximum = FLOAT_MAXIMUM if shape.maximum is None else shape.maximum
    rule = f"must be a number from {minimum} to {maximum}"

    def check(value: object) -> object:
        # JSON does not distinguish 30 from 30.0, so an int is accepted.
        if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
            raise BrokenRuleError(rule)
        return float(value)

    return check


def _boolean(_shape: Shape) -> Check:
    def check(value: object) -> object:
        if type(value) is not bool:
            raise BrokenRuleError("must be true or false")
        return value

    return check


def _timestamp(shape: Shape) -> Never:
    raise TypeError(f"no input of the service has timestamps, but {shape.name} is one: add their check here")


_COMPILERS: dict[ShapeKind, Callable[[Shape], Check]] = {
    ShapeKind.STRUCTURE: _structure,
    ShapeKind.LIST: _list,
    ShapeKind.MAP: _map,
    ShapeKind.STRING: _string,
    ShapeKind.INTEGER: _integer,
    ShapeKind.FLOAT: _float,
    ShapeKind.BOOLEAN: _boolean,
    ShapeKind.TIMESTAMP: _timestamp,
}


def _part(shape: Shape | None) -> Shape:
    """Return the shape of a list's items or a map's keys or values."""
    assert shape is not None, "the model gives every list an item, and every map a key and an item"  # noqa: S101 - an invariant
    return shape


def _bounds(shape: Shape) -> tuple[float, float]:
    """Return the minimum and the maximum of a shape, infinite when there is none."""
    return (
        -math.inf if shape.minimum is None else shape.minimum,
        math.inf if shape.maximum is None else shape.maximum,
    )


def _range_text(shape: Shape) -> str:
    """Return the limits of a shape for a message: `exactly 16`, `at least 1` or `1 to 128`."""
    minimum, maximum = shape.minimum, shape.maximum
    if minimum == maximum:
        return f"exactly {minimum}"
    if maximum is None:
        return f"at least {minimum}"
    return f"{minimum or 0} to {maximum}"


def _key_step(key: str) -> str:
    # A key may be as secret as a value. It is shown only when it looks like an identifier.
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else '["..."]'

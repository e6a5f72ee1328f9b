"""Decoding the input of a request: query parameters and a JSON body, as values of the types of its route."""

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.stage.json_depth import MAX_JSON_DEPTH, is_too_deep

MAXIMUM_PARAMETERS = 64
MAXIMUM_QUERY_SIZE_BYTES = 8_192


def read_query(kind: type[msgspec.Struct], raw: bytes) -> Any:  # noqa: ANN401 - a value of `kind`
    """Return the query parameters as a value of `kind`. A parameter whose type is a tuple may occur several times.

    Raises ApiRefusedError 400 that names the parameter and the rule.
    """
    if len(raw) > MAXIMUM_QUERY_SIZE_BYTES:
        raise _invalid(f"the query may have at most {MAXIMUM_QUERY_SIZE_BYTES} bytes")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MAXIMUM_PARAMETERS,
        )
    except ValueError as error:
        raise _invalid(f"the query string is malformed: {error}") from None
    parameters = _parameters(kind)
    repeatable = {each.name for each in parameters if each.is_repeatable}
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in repeatable:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise _invalid(f"{name}: may occur once only")
        else:
            values[name] = value
    try:
        converted = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(_named(str(error), kind)) from None
    for each in parameters:
        # msgspec takes the text `null` as None where None is allowed. A parameter that is not given is left out.
        if each.name in values and getattr(converted, each.member) is None:
            raise _invalid(f"{each.name}: must not be null")
    return converted


def check_content_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise ApiRefusedError 415 for the Content-Type of a body that is not JSON. An absent one is accepted.

    A form of a web page can only have other types, and those that it can have need no preflight.
    """
    stated = headers.get(b"content-type")
    if stated is not None and stated.partition(b";")[0].strip().lower() != b"application/json":
        raise ApiRefusedError(
            status=415,
            code=ApiProblemCode.UNSUPPORTED_MEDIA_TYPE,
            detail="the content type must be application/json",
        )


def read_json(kind: type[msgspec.Struct] | type[msgspec.Raw], body: bytes) -> Any:  # noqa: ANN401 - a value of `kind`
    """Return a JSON body as a value of `kind`. Raises ApiRefusedError 400 that names the member and the rule."""
    if is_too_deep(body):
        raise ApiRefusedError(
            status=400, code=ApiProblemCode.INVALID_BODY, detail=f"the body is nested deeper than {MAX_JSON_DEPTH}"
        )
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiRefusedError(status=400, code=ApiProblemCode.INVALID_BODY, detail=_named(str(error), kind)) from None


class _Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A query parameter: its name, the member of the struct that holds it, and whether it may occur several times."""

    name: str
    member: str
    is_repeatable: bool


@cache  # bounded by the routes; reading the types of a struct takes longer than the rest of a query
def _parameters(kind: type[msgspec.Struct]) -> Sequence[_Parameter]:
    hints = get_type_hints(kind)
    return tuple(
        _Parameter(
            name=field.encode_name,
            member=field.name,
            is_repeatable=get_origin(hints[field.name]) is tuple and Ellipsis in get_args(hints[field.name]),
        )
        for field in msgspec.structs.fields(kind)
    )


def _named(message: str, kind: type[msgspec.Struct] | type[msgspec.Raw]) -> str:
    """Return msgspec's message with the member first: "limit: Expected `int` <= 1000".

    For a member of `kind` with an enumeration, or with a pattern that stands for one, it says the values.
    """
    rule, separator, path = message.partition(" - at `$.")
    if not separator:
        return message
    member = path.rstrip("`")
    is_enum, is_pattern = (rule.startswith(each) for each in ("Invalid enum value", "Expected `str` matching regex"))
    if (is_enum or is_pattern) and issubclass(kind, msgspec.Struct):
        hints = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        if choices := ", ".join(_enumerated(hints.get(member.partition("[")[0]))):
            rule = f"{rule}, expected one of {choices}" if is_enum else f"Expected one of {choices}"
    return f"{member}: {rule}"


def _enumerated(hint: object) -> list[str]:
    """Return the values of the enumeration in a type such as `tuple[Capability, ...] | None`."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(each.value) for each in hint]
    if isinstance(hint, msgspec.Meta):  # of a pattern
        return list((hint.extra_json_schema or {}).get("enum", ()))
    return next((found for part in get_args(hint) if (found := _enumerated(part))), [])


def _invalid(detail: str) -> ApiRefusedError:
    return ApiRefusedError(status=400, code=ApiProblemCode.INVALID_PARAMETER, detail=detail)

"""Raw responses of operations, and a check of them against the output shapes of botocore's service model.

The check reads the model's JSON and shares no code with the product, so it is an independent oracle.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tests.e2e.aws.valid_inputs import MODEL, Json, Raw
from tests.e2e.server import Client

TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z")
OVERRIDDEN_RULES = {("ParticipantRecordingS3Prefix", "pattern")}
"""The model's pattern does not allow the slash that AWS's own samples contain."""


class RawResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One raw HTTP response. The names of its headers are in lower case."""

    operation: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def record_responses(client: Client) -> list[RawResponse]:
    """Return a list to which every further response of this boto3 client is appended."""
    responses: list[RawResponse] = []

    def append(http_response: Any, model: Any, **_more: object) -> None:  # noqa: ANN401 - botocore's own, made at run time
        headers = {name.lower(): value for name, value in http_response.headers.items()}
        responses.append(
            RawResponse(
                operation=model.name, status=http_response.status_code, headers=headers, body=http_response.content
            )
        )

    client.meta.events.register("after-call.ivs-realtime", append)
    return responses


def output_violations(response: RawResponse) -> list[str]:
    """Return a message for each violation of the operation's output shape in a successful response."""
    shape = MODEL["shapes"][MODEL["operations"][response.operation]["output"]["shape"]]
    members = shape.get("members", {})
    in_headers = [m["locationName"] for m in members.values() if m.get("location") == "header"]
    violations = [f"header {name} is absent" for name in in_headers if not response.headers.get(name.lower())]
    in_body = {name: member for name, member in members.items() if "location" not in member}
    if not in_body:
        return [*violations, *(["the body is not empty"] if response.body else [])]
    if response.headers["content-type"] != "application/json":
        violations.append("the content type is not JSON")
    return [*violations, *_structure({**shape, "members": in_body}, json.loads(response.body), "output")]


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "float": (int, float),
    "boolean": bool,
    "timestamp": str,
    "list": list,
    "map": dict,
    "structure": dict,
}


def _is_of_type(kind: str, value: Json) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _value(name: str, value: Json, path: str) -> Iterator[str]:
    shape = MODEL["shapes"][name]
    if not _is_of_type(shape["type"], value):
        yield f"{path} is not of type {shape['type']}: {value!r}"
        return
    match shape["type"]:
        case "structure":
            yield from _structure(shape, value, path)
        case "list":
            yield from _bounds(shape, len(value), path)
            for index, item in enumerate(value):
                yield from _value(shape["member"]["shape"], item, f"{path}[{index}]")
        case "map":
            yield from _bounds(shape, len(value), path)
            for key, item in value.items():
                yield from _value(shape["key"]["shape"], key, f"{path} key")
                yield from _value(shape["value"]["shape"], item, f"{path}.{key}")
        case "integer" | "float":
            yield from _bounds(shape, value, path)
        case "timestamp" if TIMESTAMP.fullmatch(value) is None:
            yield f"{path} is not a timestamp: {value}"
        case "string":
            yield from _string(name, shape, value, path)


def _structure(shape: Raw, value: Json, path: str) -> Iterator[str]:
    for name in shape.get("required", ()):
        if name not in value and name in shape["members"]:
            yield f"{path}.{name} is absent"
    for name, item in value.items():
        if name not in shape["members"]:
            yield f"{path}.{name} is unknown"
        else:
            yield from _value(shape["members"][name]["shape"], item, f"{path}.{name}")


def _string(name: str, shape: Raw, value: str, path: str) -> Iterator[str]:
    yield from _bounds(shape, len(value), path)
    # An unset fill mode is "" (AWS CLI reference, start-composition).
    if "enum" in shape and value not in shape["enum"] and (name, value) != ("VideoFillMode", ""):
        yield f"{path} is not in the enumeration: {value}"
    if (
        "pattern" in shape
        and (name, "pattern") not in OVERRIDDEN_RULES
        and re.fullmatch(shape["pattern"], value) is None
    ):
        yield f"{path} does not match {shape['pattern']}: {value}"


def _bounds(shape: Raw, size: float, path: str) -> Iterator[str]:
    if not shape.get("min", size) <= size <= shape.get("max", size):
        yield f"{path} is out of bounds: {size}"

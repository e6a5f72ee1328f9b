"""What an operation answered, byte for byte, and whether it keeps the output shape of botocore's service model.

An oracle of its own: it reads the model's JSON and shares no code with the product.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tests.e2e.aws.broken_rules import MODEL, Json, Raw
from tests.e2e.server import Client

TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z")
EXCUSED = {("ParticipantRecordingS3Prefix", "pattern")}
"""The model's pattern lacks the slash that its own samples have."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One raw HTTP answer; the names of headers are in small letters."""

    operation: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def keep_answers(client: Client) -> list[Answer]:
    """Return a list that from now on grows by every answer this boto3 client receives."""
    answers: list[Answer] = []

    def keep(http_response: Any, model: Any, **_more: object) -> None:  # noqa: ANN401 - botocore's own, made at run time
        headers = {name.lower(): value for name, value in http_response.headers.items()}
        answers.append(
            Answer(operation=model.name, status=http_response.status_code, headers=headers, body=http_response.content)
        )

    client.meta.events.register("after-call.ivs-realtime", keep)
    return answers


def output_breaches(answer: Answer) -> list[str]:
    """Return everything in a successful answer that its operation's output shape does not allow."""
    shape = MODEL["shapes"][MODEL["operations"][answer.operation]["output"]["shape"]]
    members = shape.get("members", {})
    in_headers = [m["locationName"] for m in members.values() if m.get("location") == "header"]
    found = [f"header {name} is absent" for name in in_headers if not answer.headers.get(name.lower())]
    in_body = {name: member for name, member in members.items() if "location" not in member}
    if not in_body:
        return [*found, *(["the body is not empty"] if answer.body else [])]
    if answer.headers["content-type"] != "application/json":
        found.append("the body is not said to be JSON")
    return [*found, *_structure({**shape, "members": in_body}, json.loads(answer.body), "output")]


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
        yield f"{path} is no {shape['type']}: {value!r}"
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
            yield f"{path} is no time: {value}"
        case "string":
            yield from _text(name, shape, value, path)


def _structure(shape: Raw, value: Json, path: str) -> Iterator[str]:
    for name in shape.get("required", ()):
        if name not in value and name in shape["members"]:
            yield f"{path}.{name} is absent"
    for name, item in value.items():
        if name not in shape["members"]:
            yield f"{path}.{name} is unknown"
        else:
            yield from _value(shape["members"][name]["shape"], item, f"{path}.{name}")


def _text(name: str, shape: Raw, value: str, path: str) -> Iterator[str]:
    yield from _bounds(shape, len(value), path)
    if "enum" in shape and value not in shape["enum"]:
        yield f"{path} is none of the enumeration: {value}"
    if "pattern" in shape and (name, "pattern") not in EXCUSED and re.fullmatch(shape["pattern"], value) is None:
        yield f"{path} does not match {shape['pattern']}: {value}"


def _bounds(shape: Raw, size: float, path: str) -> Iterator[str]:
    if not shape.get("min", size) <= size <= shape.get("max", size):
        yield f"{path} is out of bounds: {size}"

"""The service model: which operations exist, and what goes in and out of each.

Read once from botocore's `ivs-realtime` model of 2020-07-14 and turned into plain values; nothing of it is retyped
here. Knows nothing of HTTP messages, signatures or handlers.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from botocore.loaders import Loader

SERVICE = "ivs-realtime"
API_VERSION = "2020-07-14"

PATTERN_OVERRIDES: Mapping[str, str] = {
    # The model allows a single character for the resource type, which no ARN has.
    "ResourceArn": r"arn:aws:ivs:[a-z0-9-]+:[0-9]+:[a-z-]+/[a-zA-Z0-9-]+",
    # The model leaves out the slash, which every recording prefix has.
    "ParticipantRecordingS3Prefix": r"[a-zA-Z0-9/_-]*",
    # The model's dot means any character: text around the PEM block may have several lines.
    "PublicKeyMaterial": (
        r"(?s:.*)-----BEGIN PUBLIC KEY-----\r?\n([a-zA-Z0-9+/=\r\n]+)\r?\n-----END PUBLIC KEY-----(\r?\n)?(?s:.*)"
    ),
}
"""Patterns of the model that no real value matches, by shape, and what is enforced instead."""

ENUM_ADDITIONS: Mapping[str, tuple[str, ...]] = {
    # A participant's recording state can be DISABLED; the model forgets it in the filter.
    "ParticipantRecordingFilterByRecordingState": ("DISABLED",),
    # The AWS CLI's documented command creates an ingest configuration with `--ingest-protocol rtmps`.
    "IngestProtocol": ("rtmp", "rtmps"),
}
"""Values that the model's own enums lack, by shape, and that are taken."""

INTEGER_MINIMUM = -(2**31)
INTEGER_MAXIMUM = 2**31 - 1
FLOAT_MAXIMUM = (2 - 2**-23) * 2.0**127
"""An `integer` of the model has 32 bits, a `float` is an IEEE 754 binary32 (Smithy 2.0, simple types)."""


class Kind(StrEnum):
    """The kinds of shapes this model has; the words are the model's."""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class Location(StrEnum):
    """Where in the HTTP message a member travels; BODY when the model says nothing."""

    BODY = "body"
    URI = "uri"
    QUERY = "querystring"
    HEADER = "header"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One shape. `minimum` and `maximum` bound a number, the characters of a string or the items of a collection."""

    name: str
    kind: Kind
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    members: tuple["Member", ...] = ()
    item: "Shape | None" = None
    key: "Shape | None" = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a structure. `name` is the model's, `wire_name` how the HTTP message calls it."""

    name: str
    wire_name: str
    shape: Shape
    required: bool
    location: Location


class OperationModel(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: how it is addressed and what it takes and gives."""

    name: str
    method: str
    uri: str
    input: Shape
    output: Shape


class ServiceModel(msgspec.Struct, frozen=True, kw_only=True):
    """The whole service. `signing_name` is the service in a signature's scope and in the actions of policies."""

    signing_name: str
    operations: Mapping[str, OperationModel]
    error_statuses: Mapping[str, int]


def load_service_model() -> ServiceModel:
    """Return the model of IVS Real-Time as the installed botocore has it."""
    raw: Mapping[str, Any] = Loader().load_service_model(SERVICE, "service-2", API_VERSION)
    reader = _Reader(raw["shapes"])
    operations = {
        name: OperationModel(
            name=name,
            method=operation["http"]["method"],
            uri=operation["http"]["requestUri"],
            input=reader.shape(operation["input"]["shape"]),
            output=reader.shape(operation["output"]["shape"]),
        )
        for name, operation in raw["operations"].items()
    }
    statuses = {
        name: int(shape["error"]["httpStatusCode"]) for name, shape in raw["shapes"].items() if shape.get("exception")
    }
    return ServiceModel(
        signing_name=raw["metadata"]["signingName"],
        operations=operations,
        error_statuses=statuses,
    )


class _Reader:
    """Turns the raw shapes into values, each once. A shape that contains itself would recurse: this model has none."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._shapes: dict[str, Shape] = {}

    def shape(self, name: str) -> Shape:
        if name not in self._shapes:
            self._shapes[name] = self._read(name, self._raw[name])
        return self._shapes[name]

    def _read(self, name: str, raw: Mapping[str, Any]) -> Shape:
        item = raw.get("member") or raw.get("value")
        return Shape(
            name=name,
            kind=Kind(raw["type"]),
            minimum=raw.get("min"),
            maximum=raw.get("max"),
            pattern=PATTERN_OVERRIDES.get(name, raw.get("pattern")),
            enum=(*raw["enum"], *ENUM_ADDITIONS.get(name, ())) if "enum" in raw else (),
            members=tuple(self._members(raw)),
            item=self.shape(item["shape"]) if item else None,
            key=self.shape(raw["key"]["shape"]) if "key" in raw else None,
        )

    def _members(self, raw: Mapping[str, Any]) -> list[Member]:
        required = frozenset(raw.get("required", ()))
        return [
            Member(
                name=name,
                wire_name=member.get("locationName", name),
                shape=self.shape(member["shape"]),
                required=name in required,
                location=Location(member.get("location", Location.BODY)),
            )
            for name, member in raw.get("members", {}).items()
        ]

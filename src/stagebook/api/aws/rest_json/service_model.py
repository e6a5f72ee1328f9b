"""The service model of IVS Real-Time: its operations, and the shapes of their inputs and outputs.

AWS publishes the model as JSON in botocore (`ivs-realtime`, API version 2020-07-14). It is read once at start and
turned into values. Two tables correct its known defects; everything else is used as published.
"""

import gzip
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

SERVICE = "ivs-realtime"
API_VERSION = "2020-07-14"

PATTERN_OVERRIDES: Mapping[str, str] = {
    # The published pattern allows one character as the resource type; every ARN has more.
    "ResourceArn": r"arn:aws:ivs:[a-z0-9-]+:[0-9]+:[a-z-]+/[a-zA-Z0-9-]+",
    # The published pattern lacks the slash, which every recording prefix has.
    "ParticipantRecordingS3Prefix": r"[a-zA-Z0-9/_-]*",
    # The published pattern is meant to allow text before and after the PEM block, but its dot excludes line breaks.
    "PublicKeyMaterial": (
        r"(?s:.*)-----BEGIN PUBLIC KEY-----\r?\n([a-zA-Z0-9+/=\r\n]+)\r?\n-----END PUBLIC KEY-----(\r?\n)?(?s:.*)"
    ),
}
"""By shape: the pattern that is enforced instead of a published one that excludes real values."""

ENUM_ADDITIONS: Mapping[str, tuple[str, ...]] = {
    # A participant's recording state can be DISABLED, but the filter's enum lacks it.
    "ParticipantRecordingFilterByRecordingState": ("DISABLED",),
    # The example of the AWS CLI reference sends `--ingest-protocol rtmps`, in lower case.
    "IngestProtocol": ("rtmp", "rtmps"),
}
"""By shape: values that are accepted in addition to the published enum."""

INTEGER_MINIMUM = -(2**31)
INTEGER_MAXIMUM = 2**31 - 1
FLOAT_MAXIMUM = (2 - 2**-23) * 2.0**127
"""The ranges of `integer`, which has 32 bits, and `float`, an IEEE 754 binary32 (Smithy 2.0, simple types)."""


class ShapeKind(StrEnum):
    """The types of shapes in this service model, by their names in it."""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class Location(StrEnum):
    """The part of the HTTP message that a member is bound to; BODY when the service model gives none."""

    BODY = "body"
    URI = "uri"
    QUERY = "querystring"
    HEADER = "header"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One shape. What is not set does not apply.

    `minimum` and `maximum` are limits on a number, the characters of a string, or the items of a list or map. `members`
    are those of a structure, `item` is the shape of a list's items or a map's values, and `key` that of a map's keys.
    """

    name: str
    kind: ShapeKind
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    members: tuple["Member", ...] = ()
    item: "Shape | None" = None
    key: "Shape | None" = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a structure. `wire_name` is its name in the HTTP message, `name` its name everywhere else."""

    name: str
    wire_name: str
    shape: Shape
    required: bool
    location: Location


class OperationModel(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: its HTTP method, its URI template, and the shapes of its input and output."""

    name: str
    method: str
    uri: str
    input: Shape
    output: Shape


class ServiceModel(msgspec.Struct, frozen=True, kw_only=True):
    """The whole service. `signing_name` is its name in the credential scope of signatures and in policy actions."""

    signing_name: str
    operations: Mapping[str, OperationModel]


def load_service_model() -> ServiceModel:
    """Return the service model of the installed botocore."""
    raw = _published()
    reader = _ShapeReader(raw["shapes"])
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
    return ServiceModel(signing_name=raw["metadata"]["signingName"], operations=operations)


def _published() -> Mapping[str, Any]:
    """Return the JSON of botocore's file. The loader of botocore would import its HTTP client, too, which takes longer.

    Raises FileNotFoundError if botocore or the file is missing.
    """
    package = find_spec("botocore")
    if package is None or package.origin is None:
        raise FileNotFoundError("botocore is not installed")
    path = Path(package.origin).parent / "data" / SERVICE / API_VERSION / "service-2.json.gz"
    model: Mapping[str, Any] = msgspec.json.decode(gzip.decompress(path.read_bytes()))
    return model


class _ShapeReader:
    """Turns the raw shapes into values, each once. The service model has no recursive shapes."""

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
            kind=ShapeKind(raw["type"]),
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

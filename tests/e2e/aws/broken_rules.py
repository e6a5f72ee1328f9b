"""Every way to break a rule of an operation's input, derived from botocore's service model.

For each member, at any depth, each trait gives values that break it and nothing else: type, minimum, maximum, pattern,
enumeration, required. What the project changes in the model is in EXCUSED.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from botocore.loaders import Loader
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.e2e.aws.documented import ENCODER_ARN, INGEST_ARN, PARTICIPANT_ID, STAGE_ARN, STORAGE_ARN

Json: TypeAlias = Any
Raw: TypeAlias = Mapping[str, Any]

MODEL: Raw = Loader().load_service_model("ivs-realtime", "service-2", "2020-07-14")
OTHER_STAGE_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/neverThereAtAll"
PUBLIC_KEY_ARN = "arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh"
COMPOSITION_ARN = "arn:aws:ivs:us-west-2:123456789012:composition/abcdABCDefgh"
SESSION = {"stageArn": STAGE_ARN, "sessionId": "st-a1b2c3d4e5f6g"}
PARTICIPANT = {**SESSION, "participantId": "abCDEf12GHIj"}
RECORDING = {
    "storageConfigurationArn": "",
    "mediaTypes": ["AUDIO_VIDEO"],
    "thumbnailConfiguration": {"targetIntervalSeconds": 60, "storage": ["LATEST"], "recordingMode": "INTERVAL"},
    "recordingReconnectWindowSeconds": 0,
    "hlsConfiguration": {"targetSegmentDurationSeconds": 6},
    "recordParticipantReplicas": True,
}
TOKEN = {"duration": 30, "userId": "bob", "attributes": {"role": "host"}, "capabilities": ["PUBLISH"]}
PAGE = {"maxResults": 50, "nextToken": ""}
REPLICATION = {
    "sourceStageArn": STAGE_ARN,
    "destinationStageArn": OTHER_STAGE_ARN,
    "participantId": PARTICIPANT_ID,
}
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP384R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
    .strip()
)
GRID = {
    "featuredParticipantAttribute": "featured",
    "omitStoppedVideo": True,
    "videoAspectRatio": "VIDEO",
    "videoFillMode": "COVER",
    "gridGap": 2,
    "participantOrderAttribute": "order",
}
PIP = {
    "featuredParticipantAttribute": "featured",
    "omitStoppedVideo": True,
    "videoFillMode": "COVER",
    "gridGap": 0,
    "pipParticipantAttribute": "pip",
    "pipBehavior": "STATIC",
    "pipOffset": 0,
    "pipPosition": "BOTTOM_RIGHT",
    "pipWidth": 320,
    "pipHeight": 180,
    "participantOrderAttribute": "order",
}
COMPOSITION = {
    "stageArn": STAGE_ARN,
    "idempotencyToken": "token",
    "layout": {"grid": GRID, "pip": PIP},
    "destinations": [
        {
            "name": "destination",
            "channel": {
                "channelArn": "arn:aws:ivs:us-west-2:123456789012:channel/abcABCdefDEg",
                "encoderConfigurationArn": ENCODER_ARN,
            },
            "s3": {
                "storageConfigurationArn": STORAGE_ARN,
                "encoderConfigurationArns": [ENCODER_ARN],
                "recordingConfiguration": {"hlsConfiguration": {"targetSegmentDurationSeconds": 2}, "format": "HLS"},
                "thumbnailConfigurations": [{"targetIntervalSeconds": 60, "storage": ["LATEST"]}],
            },
        }
    ],
    "tags": {"team": "blue"},
}

RIGHT: Mapping[str, dict[str, Json]] = {
    "CreateStage": {
        "name": "stage",
        "participantTokenConfigurations": [TOKEN],
        "tags": {"team": "blue"},
        "autoParticipantRecordingConfiguration": RECORDING,
    },
    "GetStage": {"arn": STAGE_ARN},
    "ListStages": PAGE,
    "UpdateStage": {"arn": STAGE_ARN, "name": "documented", "autoParticipantRecordingConfiguration": RECORDING},
    "DeleteStage": {"arn": STAGE_ARN},
    "CreateParticipantToken": {"stageArn": STAGE_ARN, **TOKEN},
    "ListStageSessions": {"stageArn": STAGE_ARN, **PAGE},
    "GetStageSession": SESSION,
    "ListParticipants": {
        **SESSION,
        **PAGE,
        "filterByUserId": "bob",
        "filterByPublished": True,
        "filterByState": "CONNECTED",
        "filterByRecordingState": "ACTIVE",
    },
    "GetParticipant": PARTICIPANT,
    "ListParticipantEvents": {**PARTICIPANT, **PAGE},
    "DisconnectParticipant": {"stageArn": STAGE_ARN, "participantId": "neverThere", "reason": "enough"},
    "CreateIngestConfiguration": {
        "name": "ingest",
        "stageArn": STAGE_ARN,
        "userId": "bob",
        "attributes": {"role": "host"},
        "ingestProtocol": "RTMPS",
        "insecureIngest": True,
        "redundantIngest": True,
        "tags": {"team": "blue"},
    },
    "GetIngestConfiguration": {"arn": INGEST_ARN},
    "ListIngestConfigurations": {**PAGE, "filterByStageArn": STAGE_ARN, "filterByState": "INACTIVE"},
    "UpdateIngestConfiguration": {"arn": INGEST_ARN, "stageArn": STAGE_ARN, "redundantIngest": True},
    "DeleteIngestConfiguration": {"arn": INGEST_ARN, "force": True},
    "CreateEncoderConfiguration": {
        "name": "encoder",
        "video": {"width": 1280, "height": 720, "framerate": 30.0, "bitrate": 2_500_000},
        "tags": {"team": "blue"},
    },
    "GetEncoderConfiguration": {"arn": ENCODER_ARN},
    "ListEncoderConfigurations": PAGE,
    "DeleteEncoderConfiguration": {"arn": ENCODER_ARN},
    "CreateStorageConfiguration": {
        "name": "storage",
        "s3": {"bucketName": "amzn-s3-demo-bucket"},
        "tags": {"team": "blue"},
    },
    "GetStorageConfiguration": {"arn": STORAGE_ARN},
    "ListStorageConfigurations": PAGE,
    "DeleteStorageConfiguration": {"arn": STORAGE_ARN},
    "StartComposition": COMPOSITION,
    "GetComposition": {"arn": COMPOSITION_ARN},
    "ListCompositions": {**PAGE, "filterByStageArn": STAGE_ARN, "filterByEncoderConfigurationArn": ENCODER_ARN},
    "StopComposition": {"arn": COMPOSITION_ARN},
    "ImportPublicKey": {"publicKeyMaterial": PUBLIC_KEY, "name": "key", "tags": {"team": "blue"}},
    "GetPublicKey": {"arn": PUBLIC_KEY_ARN},
    "ListPublicKeys": PAGE,
    "DeletePublicKey": {"arn": PUBLIC_KEY_ARN},
    "StartParticipantReplication": {
        **REPLICATION,
        "reconnectWindowSeconds": 0,
        "attributes": {"role": "guest"},
    },
    "StopParticipantReplication": REPLICATION,
    "ListParticipantReplicas": {"sourceStageArn": STAGE_ARN, "participantId": PARTICIPANT_ID, **PAGE},
    "RevokeConnectionToken": {"tokenId": "Mx6clRRHODPy"},
    "TagResource": {"resourceArn": STAGE_ARN, "tags": {"team": "blue"}},
    "UntagResource": {"resourceArn": STAGE_ARN, "tagKeys": ["team"]},
    "ListTagsForResource": {"resourceArn": STAGE_ARN},
}
"""For each operation an input with every member; what is not served for another reason than its form is in REFUSED."""

REFUSED: Mapping[str, tuple[int, str]] = {
    "ListParticipants": (400, "only one filter"),
    "ListIngestConfigurations": (400, "only one filter"),
    "StartComposition": (400, "does not compose stages yet"),
    "GetComposition": (404, COMPOSITION_ARN),
    "StopComposition": (404, COMPOSITION_ARN),
    "GetPublicKey": (404, PUBLIC_KEY_ARN),
    "StartParticipantReplication": (404, OTHER_STAGE_ARN),
    "StopParticipantReplication": (404, ""),
}
"""The status and the reason that those inputs meet which are right in form."""

EXCUSED = {("ResourceArn", "pattern"), ("IngestProtocol", "enum")}
"""The model's pattern of an ARN matches none, and test_input_rules has its own cases for it; a protocol in small
letters is in a documented command of the AWS CLI."""

WRONG_TYPES: Mapping[str, tuple[Json, ...]] = {
    "string": (5, True, ["a"], {"a": "b"}),
    "integer": ("5", 5.5, True, [5], {"a": 5}, 2**31, -(2**31) - 1, 10**30),
    "float": ("5", True, [5], {"a": 5}, 10**400),
    "boolean": ("true", 1, [True], {"a": True}),
    "list": ("a", 5, {"a": "b"}, [None]),
    "map": ("a", 5, ["a"], {"a": None}),
    "structure": ("a", 5, ["a"]),
}


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """An input that breaks one rule, and the member that the answer must name."""

    operation: str
    rule: str
    path: tuple[str | int, ...]
    request: Json

    @property
    def member(self) -> str:
        """The last name on the way to the broken member."""
        return next(str(step) for step in reversed(self.path) if isinstance(step, str))

    def __str__(self) -> str:
        return f"{self.operation}-{'.'.join(map(str, self.path))}-{self.rule}"


def broken_by(operation: str) -> list[Broken]:
    """Return every input of the operation that breaks one rule of the model."""
    right = RIGHT[operation]
    shape = MODEL["operations"][operation]["input"]["shape"]
    broken = []
    for path, rule, value in _of_structure(MODEL["shapes"][shape], right, ()):
        broken.append(Broken(operation=operation, rule=rule, path=path, request=_replaced(right, path, value)))
    return broken


ABSENT = object()
Case: TypeAlias = tuple[tuple[str | int, ...], str, Json]


def _of_structure(shape: Raw, right: Json, path: tuple[str | int, ...]) -> Iterator[Case]:
    assert set(shape.get("members", {})) == set(right), "an example must have every member"
    for name, member in shape.get("members", {}).items():
        here = (*path, name)
        if name in shape.get("required", ()):
            yield here, "absent", ABSENT
            yield here, "null", None
        yield from _of_value(member["shape"], right[name], here)


def _of_value(name: str, right: Json, path: tuple[str | int, ...]) -> Iterator[Case]:
    shape = MODEL["shapes"][name]
    for number, value in enumerate(WRONG_TYPES[shape["type"]]):
        yield path, f"type{number}", value
    for rule, value in _beyond(shape, right):
        if (name, rule) not in EXCUSED:
            yield path, rule, value
    match shape["type"]:
        case "structure":
            yield from _of_structure(shape, right, path)
        case "list":
            yield from _of_value(shape["member"]["shape"], right[0], (*path, 0))
        case "map":
            key, value = next(iter(right.items()))
            for rule, bad_key in _beyond(MODEL["shapes"][shape["key"]["shape"]], key):
                yield path, f"key-{rule}", {bad_key: value}
            yield from _of_value(shape["value"]["shape"], value, (*path, key))


def _beyond(shape: Raw, right: Json) -> Iterator[tuple[str, Json]]:
    """Give the values that break a bound, the pattern or the enumeration of a shape."""
    match shape["type"]:
        case "integer" | "float":
            yield from _beyond_number(shape)
        case "string":
            yield from _beyond_text(shape, right)
        case "list" if "max" in shape:
            yield "maximum", right * (shape["max"] + 1)
        case "map" if "max" in shape:
            yield "maximum", {f"{number}": "" for number in range(shape["max"] + 1)}


def _beyond_number(shape: Raw) -> Iterator[tuple[str, int]]:
    if "min" in shape:
        yield "minimum", shape["min"] - 1
    if "max" in shape:
        yield "maximum", shape["max"] + 1


def _beyond_text(shape: Raw, right: str) -> Iterator[tuple[str, str]]:
    if shape.get("min", 0) > 0:
        yield "minimum", right[: shape["min"] - 1]
    if "max" in shape:
        yield "maximum", right + "a" * (shape["max"] + 1 - len(right))
    if "pattern" in shape:
        yield "pattern", "!" + right[1:]
        yield "pattern-end", right[:-1] + "\n"
    if "enum" in shape:
        yield "enum", right.lower()
        yield "enum-empty", ""


def _replaced(right: Json, path: tuple[str | int, ...], value: Json) -> Json:
    step, *rest = path
    inner = value if not rest else _replaced(right[step], tuple(rest), value)
    if isinstance(step, int):
        return [*right[:step], inner, *right[step + 1 :]]
    changed = {**right, step: inner}
    if inner is ABSENT:
        del changed[step]
    return changed

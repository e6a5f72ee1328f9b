"""Values that satisfy every rule of a shape, and the smallest valid input of an operation.

ARNs are those of resources that do not exist, in the caller's account and region.
"""

from collections.abc import Mapping

import msgspec
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from stagebook.conformance.model.api_model import input_shape
from stagebook.conformance.wire.wire_answer import Json

NEVER_MADE_ID = "AbCdEfGhIjK0"
"""The id of a resource, and of a participant, that nobody has made."""
NEVER_OPENED_SESSION = "st-AbCdEfGhIjK00"
PLACEHOLDER_KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
"""It satisfies the pattern and is no key, so nothing can be imported by it."""

ARN_KINDS: Mapping[str, str] = {
    "ChannelArn": "channel",
    "CompositionArn": "composition",
    "EncoderConfigurationArn": "encoder-configuration",
    "IngestConfigurationArn": "ingest-configuration",
    "IngestConfigurationStageArn": "stage",
    "PublicKeyArn": "public-key",
    "ResourceArn": "stage",
    "StageArn": "stage",
    "StorageConfigurationArn": "storage-configuration",
    "AutoParticipantRecordingStorageConfigurationArn": "storage-configuration",
}
"""By shape: the type of resource in the ARN."""

TEXTS: Mapping[str, str] = {
    "ParticipantId": NEVER_MADE_ID,
    "StageSessionId": NEVER_OPENED_SESSION,
    "PublicKeyMaterial": PLACEHOLDER_KEY,
    "S3BucketName": "amzn-s3-demo-bucket",
}
"""By shape: a value for those whose pattern a row of letters does not match."""


class SampleValues(msgspec.Struct, frozen=True, kw_only=True):
    """Valid values for one account and region."""

    account_id: str
    region: str

    def arn(self, kind: str, *, identifier: str = NEVER_MADE_ID) -> str:
        """Return the ARN of a resource of this type that nobody has made."""
        return f"arn:aws:ivs:{self.region}:{self.account_id}:{kind}/{identifier}"

    def value(self, shape: Shape) -> Json:
        """Return a valid value: a structure with its required members, a list of one item, an empty map."""
        if isinstance(shape, StructureShape):
            return self.structure(shape)
        if isinstance(shape, ListShape):
            return [self.value(shape.member)]
        if isinstance(shape, MapShape):
            return {}
        if isinstance(shape, StringShape):
            return self._text(shape)
        if shape.type_name == "boolean":
            return False
        return max(1, int(shape.metadata.get("min", 1)))

    def structure(self, shape: StructureShape) -> dict[str, Json]:
        """Return a structure with its required members."""
        return {name: self.value(shape.members[name]) for name in shape.required_members}

    def input(self, operation: OperationModel) -> dict[str, Json]:
        """Return the smallest valid input of an operation, about resources that do not exist."""
        return self.structure(input_shape(operation))

    def _text(self, shape: StringShape) -> str:
        if shape.enum:
            return str(shape.enum[0])
        if shape.name in ARN_KINDS:
            return self.arn(ARN_KINDS[shape.name])
        return TEXTS.get(shape.name, "a" * max(1, int(shape.metadata.get("min", 1))))

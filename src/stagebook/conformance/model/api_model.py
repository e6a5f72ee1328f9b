"""The service model of IVS Real-Time as botocore publishes it, and the places where it is wrong.

The checks use the model itself and not Stagebook's corrected copy, so that they can find errors in Stagebook.
"""

from collections.abc import Mapping

import msgspec
from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, StructureShape

SERVICE = "ivs-realtime"
API_VERSION = "2020-07-14"

WRONG_PATTERNS: Mapping[str, str] = {
    "ResourceArn": "its resource type is one character long, so no ARN matches",
    "ParticipantRecordingS3Prefix": "it has no slash, which every documented prefix has",
    "PublicKeyMaterial": "its dots exclude the line breaks that it is meant to tolerate around the key",
}
"""By shape: why its published pattern is not enforced. Samples of AWS's own documentation do not match it."""


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that makes a resource: the member of its output that is the resource, and how it is deleted."""

    operation: str
    member: str
    kind: str
    """The type in the ARN."""
    delete: str
    request: str
    """The operation that returns one resource."""


MAKERS = (
    Maker(operation="CreateStage", member="stage", kind="stage", delete="DeleteStage", request="GetStage"),
    Maker(
        operation="CreateIngestConfiguration",
        member="ingestConfiguration",
        kind="ingest-configuration",
        delete="DeleteIngestConfiguration",
        request="GetIngestConfiguration",
    ),
    Maker(
        operation="CreateEncoderConfiguration",
        member="encoderConfiguration",
        kind="encoder-configuration",
        delete="DeleteEncoderConfiguration",
        request="GetEncoderConfiguration",
    ),
    Maker(
        operation="CreateStorageConfiguration",
        member="storageConfiguration",
        kind="storage-configuration",
        delete="DeleteStorageConfiguration",
        request="GetStorageConfiguration",
    ),
    Maker(
        operation="ImportPublicKey",
        member="publicKey",
        kind="public-key",
        delete="DeletePublicKey",
        request="GetPublicKey",
    ),
    Maker(
        operation="StartComposition",
        member="composition",
        kind="composition",
        delete="StopComposition",
        request="GetComposition",
    ),
)


class ApiModel:
    """The operations, in the order of their names."""

    def __init__(self, service: ServiceModel) -> None:
        self.service = service
        self.operations: Mapping[str, OperationModel] = {
            name: service.operation_model(name) for name in sorted(service.operation_names)
        }
        self.makers: Mapping[str, Maker] = {maker.operation: maker for maker in MAKERS}

    def lists(self) -> tuple[OperationModel, ...]:
        """Return the operations that answer with pages."""
        return tuple(model for model in self.operations.values() if "maxResults" in input_shape(model).members)

    def item_members(self, operation: str) -> tuple[str, ...]:
        """Return the names of the members of a list's items."""
        shape = self.operations[operation].output_shape
        for member in shape.members.values() if shape else ():
            if isinstance(member, ListShape) and isinstance(member.member, StructureShape):
                return tuple(member.member.members)
        return ()

    def error_codes(self, operation: str) -> tuple[str, ...]:
        """Return the names of the errors that the model gives an operation."""
        return tuple(shape.name for shape in self.operations[operation].error_shapes)

    def status(self, error_code: str) -> int:
        """Return the HTTP status of an error of the model."""
        return int(self.service.shape_for(error_code).metadata["error"]["httpStatusCode"])


def input_shape(operation: OperationModel) -> StructureShape:
    """Return the shape of an operation's input. Raises TypeError if it has none; all of IVS have one."""
    shape = operation.input_shape
    if shape is None:
        raise TypeError(f"{operation.name} has no input")
    return shape


def load_api_model() -> ApiModel:
    """Return the service model of the installed botocore."""
    return ApiModel(ServiceModel(Loader().load_service_model(SERVICE, "service-2", API_VERSION), SERVICE))

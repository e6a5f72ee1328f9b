"""Whether a caller may do what it asks: the account and region of every ARN, then the caller's policy.

Sources: "Identity-based policies" of the IVS Real-Time security guide, and the actions and resource types of IVS in
the service authorization reference.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from stagebook.api.aws.access.policy import PolicyEvaluator
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation import Caller
from stagebook.api.aws.rest_json.service_model import Kind, Shape
from stagebook.api.aws.sigv4.credentials import Credential

FindArns: TypeAlias = Callable[[Any], list[str]]

RESOURCE_TYPES: Mapping[str, str] = {
    "CreateEncoderConfiguration": "encoder-configuration",
    "CreateIngestConfiguration": "ingest-configuration",
    "CreateStage": "stage",
    "CreateStorageConfiguration": "storage-configuration",
    "ImportPublicKey": "public-key",
    "ListCompositions": "composition",
    "ListEncoderConfigurations": "encoder-configuration",
    "ListIngestConfigurations": "ingest-configuration",
    "ListPublicKeys": "public-key",
    "ListStages": "stage",
    "ListStorageConfigurations": "storage-configuration",
    "RevokeConnectionToken": "stage",
}
"""What operations act on that name no resource: every resource of this type in the caller's account."""


class Principal:
    """A caller with its rights."""

    def __init__(self, credential: Credential, *, region: str) -> None:
        self.caller = Caller(
            access_key_id=credential.access_key_id, account_id=credential.account_id, arn=credential.user_arn
        )
        self._policy = PolicyEvaluator(credential.policy)
        self._own_arns = f"arn:aws:ivs:{region}:{credential.account_id}:"

    def every(self, operation_name: str) -> str:
        """Return the resource that an operation without an ARN asks the policy about."""
        resource_type = RESOURCE_TYPES.get(operation_name)
        return f"{self._own_arns}{resource_type}/*" if resource_type else f"{self._own_arns}*"

    def authorise(self, action: str, resource: str, arns: list[str]) -> None:
        """Raise AwsError AccessDenied unless the policy allows `action` on `resource` and all `arns` are its own."""
        for arn in arns:
            if not arn.startswith(self._own_arns):
                raise self._denied(action, arn)
        if not self._policy.allows(action, resource):
            raise self._denied(action, resource)

    def _denied(self, action: str, resource: str) -> AwsError:
        return AwsError(
            ErrorType.ACCESS_DENIED,
            f"User: {self.caller.arn} is not authorized to perform: {action} on resource: {resource}",
        )


def compile_arn_finder(shape: Shape) -> FindArns:
    """Return what lists every ARN in a validated input of this shape, at any depth. An empty text names nothing."""
    return _finder(shape) or _nothing


def _finder(shape: Shape) -> FindArns | None:
    match shape.kind:
        case Kind.STRUCTURE:
            return _structure_finder(shape)
        case Kind.LIST:
            return _list_finder(shape)
        case Kind.STRING if shape.name.endswith("Arn"):
            return lambda value: [value] if value else []
        case _:
            return None


def _structure_finder(shape: Shape) -> FindArns | None:
    finders = [(member.name, finder) for member in shape.members if (finder := _finder(member.shape))]
    if not finders:
        return None

    def find(value: Mapping[str, Any]) -> list[str]:
        found: list[str] = []
        for name, find_in_member in finders:
            if name in value:
                found += find_in_member(value[name])
        return found

    return find


def _list_finder(shape: Shape) -> FindArns | None:
    find_in_item = _finder(shape.item) if shape.item is not None else None
    if find_in_item is None:
        return None
    return lambda value: [arn for item in value for arn in find_in_item(item)]


def _nothing(_value: object) -> list[str]:
    return []

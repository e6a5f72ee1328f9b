"""Authorization of a call: its ARNs must be of the caller's account and this region, and the policy must allow it.

The policy is evaluated for the action (`ivs:GetStage`) on one resource. An operation that names its resource is
evaluated on that ARN; any other, on all resources of its type in the caller's account.
Sources: "Identity-based policies" of the IVS Real-Time security guide, and the actions and resource types of IVS in
the service authorization reference.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from stagebook.api.access.policy import Identity, PolicyEvaluator
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation import Caller
from stagebook.api.aws.rest_json.service_model import Shape, ShapeKind

FindArns: TypeAlias = Callable[[Any], list[str]]
"""Takes a validated input and returns every ARN in it."""

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
"""The resource type of each operation whose input names no resource."""


class Principal:
    """An authenticated caller and its policy. `region` is the region of this server."""

    def __init__(self, identity: Identity, *, region: str) -> None:
        self.caller = Caller(access_key_id=identity.access_key_id, account_id=identity.account_id, arn=identity.arn)
        self._policy = PolicyEvaluator(identity.policy)
        # With the colon at the end, a longer account id with the same beginning does not match.
        self._own_arns = f"arn:aws:ivs:{region}:{identity.account_id}:"

    def all_resources(self, operation_name: str) -> str:
        """Return the ARN pattern of all resources that an operation without an ARN acts on."""
        resource_type = RESOURCE_TYPES.get(operation_name)
        return f"{self._own_arns}{resource_type}/*" if resource_type else f"{self._own_arns}*"

    def authorise(self, action: str, resource: str, arns: list[str]) -> None:
        """Raise AwsError AccessDenied unless the policy allows `action` on `resource` and the caller owns `arns`."""
        # Ownership comes first: a policy with wildcards must not give access to another account's resources.
        for arn in arns:
            if not arn.startswith(self._own_arns):
                raise self.denied(action, arn)
        if not self._policy.allows(action, resource):
            raise self.denied(action, resource)

    def denied(self, action: str, resource: str) -> AwsError:
        """Return the error of a caller that may not do `action` on `resource`."""
        return AwsError(
            ErrorType.ACCESS_DENIED,
            f"User: {self.caller.arn} is not authorized to perform: {action} on resource: {resource}",
        )


def compile_arn_finder(shape: Shape) -> FindArns:
    """Return a function that lists the ARNs in an input of this shape, at any depth. An empty string is no ARN."""
    return _finder(shape) or _find_nothing


def _finder(shape: Shape) -> FindArns | None:
    """Return the finder for values of `shape`; None when they cannot contain an ARN."""
    match shape.kind:
        case ShapeKind.STRUCTURE:
            return _structure_finder(shape)
        case ShapeKind.LIST:
            return _list_finder(shape)
        # In this service model, the shapes of ARNs are the strings whose names end in Arn.
        case ShapeKind.STRING if shape.name.endswith("Arn"):
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


def _find_nothing(_value: object) -> list[str]:
    return []

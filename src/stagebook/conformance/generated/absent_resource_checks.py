"""Calls about resources that do not exist: ResourceNotFoundException, wherever the service model has it.

The four lists of a stage's history do not have that error in the model. They answer with an empty list or a
ValidationException: a public test suite that runs on a real account accepts both.
"""

from collections.abc import Iterator

from stagebook.conformance.check import Basis, Check
from stagebook.conformance.expectations import expect, expect_refused
from stagebook.conformance.model.api_model import ApiModel, input_shape
from stagebook.conformance.model.sample_values import ARN_KINDS
from stagebook.conformance.service_under_test import ServiceUnderTest

NOT_FOUND = "ResourceNotFoundException"


def absent_resource_checks(model: ApiModel) -> Iterator[Check]:
    """Yield a check for each operation whose required input names a resource."""
    for operation, operation_model in model.operations.items():
        shape = input_shape(operation_model)
        arns = [name for name in shape.required_members if shape.members[name].name in ARN_KINDS]
        if arns and NOT_FOUND in model.error_codes(operation):
            yield _not_found_check(operation, arns[0])
        elif arns:
            yield _empty_list_check(operation, arns[0])


def _not_found_check(operation: str, member: str) -> Check:
    def body(service: ServiceUnderTest) -> None:
        _ = service.account_id
        members = service.samples.input(service.model.operations[operation])
        if operation == "StartParticipantReplication":
            members["destinationStageArn"] = service.samples.arn("stage", identifier="AbCdEfGhIjK1")
        if operation == "StartComposition":
            s3 = {
                "storageConfigurationArn": service.arn("storage-configuration"),
                "encoderConfigurationArns": [service.arn("encoder-configuration")],
            }
            members["destinations"] = [{"s3": s3}]
        expect_refused(service.call(operation, **members), NOT_FOUND)

    return Check(
        operation=operation,
        rule=f"{member}.unknown",
        source=f'API reference, page "{operation}", section Errors: {NOT_FOUND}',
        body=body,
    )


def _empty_list_check(operation: str, member: str) -> Check:
    def body(service: ServiceUnderTest) -> None:
        _ = service.account_id
        answer = service.call(operation, **service.samples.input(service.model.operations[operation]))
        if answer.is_success:
            document = answer.json()
            expect(
                all(not items for items in document.values()), expected="an empty list", got=f"members {list(document)}"
            )
        else:
            expect_refused(answer, "ValidationException")

    return Check(
        operation=operation,
        rule=f"{member}.unknown",
        source=f'API reference, page "{operation}": no ResourceNotFoundException',
        basis=Basis.OBSERVED,
        body=body,
    )

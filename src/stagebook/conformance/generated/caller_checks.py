"""Who may call: for every operation, calls without a signature, with a wrong one, and about the resources of others.

A call that an error keeps from being executed is harmless, whatever its operation.
"""

from collections.abc import Iterator

import msgspec

from stagebook.conformance.check import Basis, Check
from stagebook.conformance.expectations import expect_refused
from stagebook.conformance.model.api_model import ApiModel, input_shape
from stagebook.conformance.model.sample_values import ARN_KINDS, NEVER_MADE_ID
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.request_writer import operation_request

OTHER_ACCOUNT = "210987654321"
COMMON_ERRORS = 'API reference, page "Common Errors"'


def caller_checks(model: ApiModel) -> Iterator[Check]:
    """Yield the checks of each operation."""
    for operation, operation_model in model.operations.items():
        yield from _signature_checks(operation)
        shape = input_shape(operation_model)
        members = shape.members
        arn = next((n for n in shape.required_members if members[n].name in ARN_KINDS), None)
        if arn is not None:
            yield _other_account_check(operation, arn, ARN_KINDS[members[arn].name])


def _signature_checks(operation: str) -> Iterator[Check]:
    def unsigned(service: ServiceUnderTest) -> None:
        members = service.samples.input(service.model.operations[operation])
        request = operation_request(service.model.operations[operation], members)
        answer = service.noted(service.client.send_unsigned(request), members)
        codes = ("MissingAuthenticationTokenException", "IncompleteSignatureException", "AccessDeniedException")
        expect_refused(answer, *codes)

    def wrong_secret(service: ServiceUnderTest) -> None:
        members = service.samples.input(service.model.operations[operation])
        request = operation_request(service.model.operations[operation], members)
        # A made-up secret, so that the right key id comes with a signature that is not its own.
        signature = msgspec.structs.replace(service.client.signature, secret_access_key="wrong" * 8)
        answer = service.noted(service.client.send(request, signature=signature), members)
        expect_refused(answer, "InvalidSignatureException", "AccessDeniedException")

    yield Check(operation=operation, rule="unsigned", source=COMMON_ERRORS, body=unsigned)
    yield Check(
        operation=operation,
        rule="wrong-signature",
        source='IAM user guide, "Troubleshoot AWS API request signing"',
        body=wrong_secret,
    )


def _other_account_check(operation: str, member: str, kind: str) -> Check:
    def body(service: ServiceUnderTest) -> None:
        samples = msgspec.structs.replace(service.samples, account_id=OTHER_ACCOUNT)
        members = service.samples.input(service.model.operations[operation])
        members[member] = samples.arn(kind, identifier=NEVER_MADE_ID)
        answer = service.call(operation, **members)
        expect_refused(answer, "AccessDeniedException", "ResourceNotFoundException", "ValidationException")

    return Check(
        operation=operation,
        rule=f"{member}.other-account",
        source=f'API reference, page "{operation}", section Errors: AccessDeniedException',
        basis=Basis.CHOSEN,
        body=body,
    )

"""The rules of inputs: for each member of each operation at any depth, each rule of the service model, broken alone.

A rule of values is a ValidationException, 400. A wrong JSON type may also be the SerializationException of restJson1,
since it is found while the body is parsed.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from stagebook.conformance.check import Basis, Check
from stagebook.conformance.check_outcomes import CheckFailedError
from stagebook.conformance.expectations import expect, expect_refused
from stagebook.conformance.model.api_model import ApiModel
from stagebook.conformance.model.broken_inputs import BrokenInput, broken_inputs
from stagebook.conformance.model.sample_values import SampleValues
from stagebook.conformance.service_under_test import PLACEHOLDER_ACCOUNT, ServiceUnderTest
from stagebook.conformance.wire.wire_answer import WireAnswer

MODELLED_ERROR_SOURCE = 'service model, ValidationException; API reference, page "{operation}", section Errors'


def input_checks(model: ApiModel) -> Iterator[Check]:
    """Yield a check for each rule of each input, and two of the form of the refusals."""
    names = SampleValues(account_id=PLACEHOLDER_ACCOUNT, region="us-west-2")
    for operation, operation_model in model.operations.items():
        broken = broken_inputs(operation_model, names)
        for case in broken:
            yield _rule_check(operation, case)
        if broken:
            yield from _form_checks(operation, broken[0])


def _rule_check(operation: str, case: BrokenInput) -> Check:
    codes = ("ValidationException", "SerializationException")[: 2 if case.rule == "wrong-type" else 1]

    def body(service: ServiceUnderTest) -> None:
        expect_refused(_answer(service, operation, case), *codes)

    return Check(
        operation=operation, rule=f"{case.member}.{case.rule}", source=f"service model, {case.trait}", body=body
    )


def _form_checks(operation: str, case: BrokenInput) -> Iterator[Check]:
    """Yield the checks of the form of a refusal. `case` is any invalid input of the operation."""
    source = MODELLED_ERROR_SOURCE.format(operation=operation)

    def has_message(service: ServiceUnderTest) -> None:
        answer = _answer(service, operation, case)
        expect(not answer.is_success, expected="a refusal", got=answer.summary)
        document = answer.json()
        text = document.get("exceptionMessage")
        expect(isinstance(text, str) and bool(text), expected="exceptionMessage in the body", got=sorted(document))
        expect("x-amzn-errortype" in answer.headers, expected="the header x-amzn-ErrorType", got=sorted(answer.headers))

    def names_member(service: ServiceUnderTest) -> None:
        message = _answer(service, operation, case).message
        member = case.member.rpartition(".")[2]
        expect(member in message, expected=f"a message that names {member}", got=message)

    yield Check(operation=operation, rule="error.form", source=source, body=has_message)
    yield Check(
        operation=operation,
        rule="error.names-the-member",
        source="no public source gives the texts of the messages",
        basis=Basis.CHOSEN,
        body=names_member,
    )


def _answer(service: ServiceUnderTest, operation: str, case: BrokenInput) -> WireAnswer:
    """Send the case with ARNs of the caller's account."""
    found = _by_rule(service.model, operation, service.samples).get((case.member, case.rule))
    if found is None:
        raise CheckFailedError(expected="the rule in the service model", got="a model without it")
    return service.call(operation, **found.members)


@lru_cache(maxsize=64)
def _by_rule(model: ApiModel, operation: str, samples: SampleValues) -> Mapping[tuple[str, str], BrokenInput]:
    return {(case.member, case.rule): case for case in broken_inputs(model.operations[operation], samples)}

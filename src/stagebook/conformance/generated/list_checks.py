"""The rules that all lists share: the bounds of maxResults, and page tokens.

The lists of one stage's history need a stage; it is a fresh one, whose history is empty.
"""

from collections.abc import Callable, Iterator
from functools import partial

from botocore.model import OperationModel

from stagebook.conformance.check import Basis, Check, CheckBody, Cost
from stagebook.conformance.expectations import expect, expect_output, expect_refused
from stagebook.conformance.model.api_model import ApiModel, input_shape
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.wire_answer import Json

MADE_UP_TOKEN = "bm90LWEtcGFnZS10b2tlbg"  # noqa: S105 - no secret: it satisfies the pattern, and no server has issued it


def list_checks(model: ApiModel) -> Iterator[Check]:
    """Yield the checks of each list."""
    for operation in model.lists():
        yield from _list_checks(operation)


def _list_checks(operation: OperationModel) -> Iterator[Check]:
    name = operation.name
    cost = Cost.CREATES if input_shape(operation).required_members else Cost.HARMLESS
    shape = input_shape(operation).members["maxResults"]
    check = partial(Check, operation=name, cost=cost)
    for rule, size in (("minimum", shape.metadata["min"]), ("maximum", shape.metadata["max"])):
        yield check(
            rule=f"maxResults.{rule}",
            source=f"service model, {shape.name}, {rule} {size}",
            body=_with_size(name, size),
        )
    yield check(rule="output", source=f"service model, {name}Response", body=_output(name))
    yield from _token_checks(name, cost)
    yield check(
        rule="null-members",
        source='Smithy, "AWS restJson1 protocol", JSON shape serialization: null members are absent',
        basis=Basis.CHOSEN,
        body=_with_members(name, nextToken=None, maxResults=None),
    )
    yield check(
        rule="unknown-members",
        source='Smithy, "AWS restJson1 protocol": unknown members are ignored',
        basis=Basis.CHOSEN,
        body=_with_members(name, thereIsNoSuchMember={"a": [1]}),
    )


def _token_checks(name: str, cost: Cost) -> Iterator[Check]:
    check = partial(Check, operation=name, cost=cost, basis=Basis.CHOSEN)
    yield check(
        rule="nextToken.empty",
        source="service model, PaginationToken, length at least 0",
        body=_with_members(name, nextToken=""),
    )
    yield check(
        rule="nextToken.made-up",
        source=f'API reference, page "{name}": ValidationException; no source says when a token is refused',
        body=_made_up_token(name),
    )


def required_of_list(service: ServiceUnderTest, operation: str) -> dict[str, Json]:
    """Return the required members of a list, about a stage that exists and a session that does not."""
    members = service.samples.input(service.model.operations[operation])
    for name in ("stageArn", "sourceStageArn"):
        if name in members:
            members[name] = service.shared("CreateStage")["arn"]
    return members


def _answers(operation: str, check_answer: Callable[[ServiceUnderTest, Json], None], **more: Json) -> CheckBody:
    """Return the body of a check that calls a list; `check_answer` gets its answer."""

    def body(service: ServiceUnderTest) -> None:
        answer = service.call(operation, **{**required_of_list(service, operation), **more})
        check_answer(service, answer)

    return body


def _output(operation: str) -> CheckBody:
    return _answers(operation, expect_output)


def _with_members(operation: str, **members: Json) -> CheckBody:
    return _answers(operation, expect_output, **members)


def _with_size(operation: str, size: int) -> CheckBody:
    def check_answer(service: ServiceUnderTest, answer: Json) -> None:
        expect_output(service, answer)
        counts = [len(items) for items in answer.json().values() if isinstance(items, list)]
        expect(counts[0] <= size, expected=f"at most {size} items", got=counts[0])

    return _answers(operation, check_answer, maxResults=size)


def _made_up_token(operation: str) -> CheckBody:
    def check_answer(_service: ServiceUnderTest, answer: Json) -> None:
        expect_refused(answer, "ValidationException")

    return _answers(operation, check_answer, nextToken=MADE_UP_TOKEN)

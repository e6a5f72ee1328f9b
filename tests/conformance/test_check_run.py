"""A run has a result for every check, however it ends."""

import pytest

from stagebook.conformance.check import Check
from stagebook.conformance.check_outcomes import CheckFailedError, CheckOutcome, CheckSkippedError
from stagebook.conformance.check_run import CheckRun
from stagebook.conformance.service_under_test import ServiceUnderTest
from tests.conformance.suite_runs import service_of
from tests.e2e.server import RunningServer


def passes(service: ServiceUnderTest) -> None:
    service.result("ListStages")


def fails(service: ServiceUnderTest) -> None:
    service.result("ListStages")
    raise CheckFailedError(expected="this", got="that")


def skips(_service: ServiceUnderTest) -> None:
    raise CheckSkippedError("no account")


def misreads(_service: ServiceUnderTest) -> None:
    raise KeyError("stage")


def interrupts(_service: ServiceUnderTest) -> None:
    raise KeyboardInterrupt


def check(body: object, rule: str = "rule") -> Check:
    return Check(operation="ListStages", rule=rule, source="a page", body=body)  # type: ignore[arg-type]  # one of the above


def test_each_outcome(server: RunningServer) -> None:
    run = CheckRun(service_of(server))
    run.run([check(passes), check(fails), check(skips), check(misreads)])
    assert [result.outcome for result in run.results] == [
        CheckOutcome.PASSED,
        CheckOutcome.FAILED,
        CheckOutcome.SKIPPED,
        CheckOutcome.FAILED,
    ]
    assert (run.results[1].expected, run.results[1].got, run.results[1].calls) == ("this", "that", 1)
    assert run.results[1].request_id
    assert run.results[2].reason == "no account"
    assert "KeyError" in run.results[3].got


def test_the_rest_is_not_run_when_the_budget_is_spent(server: RunningServer) -> None:
    run = CheckRun(service_of(server, max_calls=2))
    run.run([check(passes), check(passes), check(passes), check(skips)])
    assert [result.outcome for result in run.results] == [
        CheckOutcome.PASSED,
        CheckOutcome.PASSED,
        CheckOutcome.NOT_RUN,
        CheckOutcome.NOT_RUN,
    ]
    assert {result.reason for result in run.results[2:]} == {"the budget of calls is spent"}


def test_an_interrupt_leaves_the_results_and_the_resources_to_delete(server: RunningServer) -> None:
    service = service_of(server)
    run = CheckRun(service)
    made = check(lambda service: service.make("CreateStage"))
    with pytest.raises(KeyboardInterrupt):
        run.run([made, check(interrupts), check(passes)])
    assert [result.outcome for result in run.results] == [
        CheckOutcome.PASSED,
        CheckOutcome.NOT_RUN,
        CheckOutcome.NOT_RUN,
    ]
    assert len(service.made.newest_first()) == 1
    assert service.delete_all() == []
    assert server.client().list_stages()["stages"] == []


def test_a_resource_that_no_answer_has_named_is_found_by_its_name(server: RunningServer) -> None:
    service = service_of(server)
    server.client().create_stage(name=service.name())
    server.client().create_stage(name="another-program")
    assert service.delete_all() == []
    (stage,) = server.client().list_stages()["stages"]
    assert stage["name"] == "another-program"
    server.client().delete_stage(arn=stage["arn"])

"""Stagebook passes the suite, but for the baseline in contrib/conformance/stagebook.txt."""

from pathlib import Path

import pytest

from stagebook.conformance.check import Cost
from stagebook.conformance.check_outcomes import CheckOutcome
from stagebook.conformance.reports.expected_failures import read_expected_failures
from tests.conformance.suite_runs import CHECKS, failed, run_checks
from tests.e2e.server import RunningServer

BASELINE = Path(__file__).parents[2] / "contrib" / "conformance" / "stagebook.txt"


def expected() -> frozenset[str]:
    return read_expected_failures(BASELINE, known=(check.name for check in CHECKS))


def test_stagebook_passes_every_check_that_needs_no_media(server: RunningServer) -> None:
    results = run_checks(server)
    assert {name: results[name].got for name in failed(results) - expected()} == {}
    assert expected() <= failed(results)
    assert {result.outcome for result in results.values()} == {CheckOutcome.PASSED, CheckOutcome.FAILED}
    assert "level=error" not in server.log


def test_stagebook_passes_the_checks_of_compositions(testing_server: RunningServer) -> None:
    composing = [check.name for check in CHECKS if check.cost is Cost.COMPOSES]
    results = run_checks(testing_server, *composing, cost=Cost.COMPOSES)
    passed = {name for name, result in results.items() if result.outcome is CheckOutcome.PASSED}
    assert {name: results[name].got for name in results.keys() - passed} == {"StartComposition.quota": ""}


@pytest.mark.conformance
def test_stagebook_passes_the_checks_of_compositions_with_media(server: RunningServer) -> None:
    """All but those that need a clock that can be moved. A machine with one core runs one composition only."""
    composing = [check.name for check in CHECKS if check.cost is Cost.COMPOSES]
    results = run_checks(server, *composing, cost=Cost.COMPOSES)
    skipped = {name for name, result in results.items() if result.outcome is CheckOutcome.SKIPPED}
    assert {name: results[name].got for name in failed(results)} == {}
    assert {"GetComposition.gone-after-five-minutes", "ListCompositions.gone-after-five-minutes"} <= skipped


@pytest.mark.conformance
def test_stagebook_passes_the_checks_with_participants(server: RunningServer) -> None:
    media = [check.name for check in CHECKS if check.cost is Cost.MEDIA]
    results = run_checks(server, *media, cost=Cost.MEDIA)
    assert {name: result.got for name, result in results.items() if result.outcome is not CheckOutcome.PASSED} == {}


def test_a_run_leaves_no_resources(server: RunningServer) -> None:
    run_checks(server, "*.output", "*.tags.returned", "ListStages.*")
    ivs = server.client()
    assert ivs.list_stages()["stages"] == []
    assert ivs.list_ingest_configurations()["ingestConfigurations"] == []
    assert ivs.list_public_keys()["publicKeys"] == []
    assert ivs.list_encoder_configurations()["encoderConfigurations"] == []
    assert ivs.list_storage_configurations()["storageConfigurations"] == []

"""The suite: its names are stable, each check has a source, and a run tries what it is asked to."""

import re
from pathlib import Path

import pytest

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_suite import UnknownCheckError, selected
from tests.conformance.suite_runs import CHECKS, MODEL

NAMES = Path(__file__).parent / "check_names.txt"
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_names_are_those_of_the_golden_list() -> None:
    """Baselines of users hold these names. To add a check, add its name; renaming one breaks them."""
    assert [check.name for check in CHECKS] == NAMES.read_text(encoding="utf-8").splitlines()


def test_every_operation_has_harmless_checks_and_a_source_for_each() -> None:
    harmless = {check.operation for check in CHECKS if check.cost is Cost.HARMLESS}
    assert harmless >= MODEL.operations.keys()
    assert all(check.source for check in CHECKS)


def test_a_run_is_harmless_unless_it_is_asked_to_create() -> None:
    harmless = selected(CHECKS, patterns=(), cost=Cost.HARMLESS, documented_only=False)
    assert {check.cost for check in harmless} == {Cost.HARMLESS}
    creating = selected(CHECKS, patterns=(), cost=Cost.CREATES, documented_only=False)
    assert {check.cost for check in creating} == {Cost.HARMLESS, Cost.CREATES}
    assert selected(CHECKS, patterns=(), cost=Cost.MEDIA, documented_only=False) == CHECKS


def test_the_page_has_the_number_of_checks_of_each_cost() -> None:
    text = PAGE.read_text(encoding="utf-8")
    documented = {
        cost: int(number) for cost, number in re.findall(r"^\| `(\w+)` \| [^|]* \| (\d+)", text, re.MULTILINE)
    }
    assert documented == {cost.value: sum(check.cost is cost for check in CHECKS) for cost in Cost}


def test_checks_are_selected_by_patterns_and_by_their_basis() -> None:
    found = selected(CHECKS, patterns=("ListStages.maxResults.*",), cost=Cost.HARMLESS, documented_only=True)
    assert {check.name.rpartition(".")[2] for check in found} == {
        "above-maximum",
        "below-minimum",
        "maximum",
        "minimum",
        "wrong-type",
    }
    assert all(check.basis is Basis.DOCUMENTED for check in found)


def test_a_pattern_without_a_check_is_refused() -> None:
    with pytest.raises(UnknownCheckError, match=r"NoSuch\.\*"):
        selected(CHECKS, patterns=("NoSuch.*",), cost=Cost.MEDIA, documented_only=False)

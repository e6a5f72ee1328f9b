"""Every plan reads ranges of one index in the order of the result: no scan of a table, no sort."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from stagebook.history.search import index_schema
from stagebook.history.search.search_keys import SearchKeys
from stagebook.history.search.search_plan import SearchPlan, plans

ALL_NAMES = (0, 1, 2, 3, 1_000, 1_001)


def keys(**members: Any) -> SearchKeys:  # noqa: ANN401 - members of the struct
    members.setdefault("names", ALL_NAMES)
    return SearchKeys(account=1, first=0, last=9, **members)


KEYS = {
    "everything": keys(),
    "one name": keys(names=(3,), are_names_given=True),
    "names": keys(names=(1, 2, 3), are_names_given=True),
    "stage": keys(stage=2),
    "stage and name": keys(stage=2, names=(3,), are_names_given=True),
    "session": keys(session=3, session_stage=2),
    "participant": keys(participant=4),
    "user": keys(user=5),
    "error": keys(errors=(6,)),
    "any error": keys(errors=(5, 6)),
    "cause": keys(causes=(7, 1_007)),
    "composition": keys(composition=6),
    "all filters": keys(
        stage=2,
        session=3,
        session_stage=2,
        participant=4,
        user=5,
        composition=6,
        errors=(5, 6),
        causes=(7,),
        names=(1, 2),
        are_names_given=True,
    ),
}
ALL_PLANS = [pytest.param(plan, id=f"{name}, {plan.index}") for name, keys in KEYS.items() for plan in plans(keys)]
COLUMNS = (
    *("stage_key", "session_key", "participant_key", "user_key", "composition_key"),
    *("name", "error_code", "cause"),
)
BOUNDS = {"first": 0, "last": 9, "limit": 5, "offset": 5}


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(index_schema.TABLES).fetchall()
    yield connection
    connection.close()


def steps(connection: apsw.Connection, statement: str) -> list[str]:
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", BOUNDS).fetchall()]


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("plan", ALL_PLANS)
def test_a_page_merges_ranges_of_an_index(connection: apsw.Connection, plan: SearchPlan, *, oldest_first: bool) -> None:
    for statement in (plan.matching(oldest_first=oldest_first), plan.candidate(oldest_first=oldest_first)):
        found = [step for step in steps(connection, statement) if step not in {"MERGE (UNION ALL)", "LEFT", "RIGHT"}]
        assert len(found) == len(plan.ranges)
        for step in found:
            assert step.startswith("SEARCH entry USING")
            assert f"INDEX {plan.index} (" in step
            assert step.endswith("AND rowid>? AND rowid<?)")


@pytest.mark.parametrize("plan", ALL_PLANS)
def test_a_count_reads_the_index_only(connection: apsw.Connection, plan: SearchPlan) -> None:
    found = [step for step in steps(connection, plan.count()) if step.startswith("SEARCH")]
    assert len(found) == len(plan.ranges)
    assert all(f"COVERING INDEX {plan.index} (" in step for step in found)


@pytest.mark.parametrize(
    ("name", "first_plan"),
    [
        ("everything", "entry_by_account"),
        ("names", "entry_by_account"),
        ("stage and name", "entry_by_stage"),
        ("session", "entry_by_stage"),
        ("participant", "entry_by_participant"),
        ("user", "entry_by_user"),
        ("any error", "entry_by_error"),
        ("cause", "entry_by_cause"),
        ("composition", "entry_by_composition"),
        ("all filters", "entry_by_composition"),
    ],
)
def test_each_filter_has_an_index(name: str, first_plan: str) -> None:
    assert plans(KEYS[name])[0].index == first_plan


@pytest.mark.parametrize(
    "name", ["everything", "one name", "names", "stage", "stage and name", "user", "any error", "composition"]
)
def test_a_single_filter_leaves_no_condition(name: str) -> None:
    assert plans(KEYS[name])[0].conditions == ()


def test_every_filter_is_in_the_index_or_in_a_condition() -> None:
    for plan in plans(KEYS["all filters"]):
        text = plan.matching(oldest_first=True)
        for column in COLUMNS:
            assert f"{column} " in text, plan.index


def test_all_names_are_ranges_of_their_own() -> None:
    (plan,) = plans(KEYS["everything"])
    assert [name for _, name in plan.ranges] == list(ALL_NAMES)

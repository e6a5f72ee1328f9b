"""The policy of retention: the most specific rule counts, and revocations stay as long as a token can be valid."""

import pytest

from stagebook.book.retention_policy import DAY_MS, RetentionPolicy
from tests.book.sample import ACCOUNT, ARN, NOON_MS, OTHER_ARN

OTHER_ACCOUNT = "210987654321"


def policy(default_days: int = 0, **overrides: dict[str, int]) -> RetentionPolicy:
    return RetentionPolicy(
        default_days=default_days, participant_token_ms=15 * DAY_MS, connection_token_ms=29 * DAY_MS, **overrides
    )


def days_kept(one: RetentionPolicy, account_id: str, stage_arn: str) -> float | None:
    cutoff_ms = one.stage_cutoff_ms(account_id, stage_arn, now_ms=NOON_MS)
    return None if cutoff_ms is None else (NOON_MS - cutoff_ms) / DAY_MS


def test_without_a_rule_everything_is_kept() -> None:
    assert not policy().deletes
    assert policy().stage_cutoff_ms(ACCOUNT, ARN, now_ms=NOON_MS) is None
    assert policy().revocation_cutoff_ms(ACCOUNT, ARN, now_ms=NOON_MS) is None
    assert policy().connection_cutoff_ms(ACCOUNT, now_ms=NOON_MS) is None


def test_the_rule_of_the_stage_comes_before_that_of_the_account_and_the_default() -> None:
    one = policy(90, account_days={ACCOUNT: 30}, stage_days={ARN: 7})
    assert days_kept(one, ACCOUNT, ARN) == 7
    assert days_kept(one, ACCOUNT, OTHER_ARN) == 30
    assert days_kept(one, OTHER_ACCOUNT, OTHER_ARN) == 90


def test_a_rule_of_0_days_keeps_for_ever_what_the_default_deletes() -> None:
    one = policy(90, account_days={ACCOUNT: 0}, stage_days={ARN: 7})
    assert days_kept(one, ACCOUNT, OTHER_ARN) is None
    assert days_kept(one, ACCOUNT, ARN) == 7
    assert one.connection_cutoff_ms(ACCOUNT, now_ms=NOON_MS) is None


@pytest.mark.parametrize(
    "one",
    [policy(1), policy(account_days={ACCOUNT: 1}), policy(stage_days={ARN: 1})],
    ids=["default", "account", "stage"],
)
def test_each_kind_of_rule_can_delete(one: RetentionPolicy) -> None:
    assert one.deletes


@pytest.mark.parametrize(("days", "participant", "connection"), [(7, 15, 29), (20, 20, 29), (90, 90, 90)])
def test_revocations_are_kept_at_least_as_long_as_tokens_can_be_valid(
    days: int, participant: int, connection: int
) -> None:
    one = policy(days)
    assert one.revocation_cutoff_ms(ACCOUNT, ARN, now_ms=NOON_MS) == NOON_MS - participant * DAY_MS
    assert one.connection_cutoff_ms(ACCOUNT, now_ms=NOON_MS) == NOON_MS - connection * DAY_MS

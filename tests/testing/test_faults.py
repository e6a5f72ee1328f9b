"""Faults of the AWS API and seeded ids, as a test asks for them."""

from typing import Any, TypeAlias

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from stagebook.testing import Account, StagebookServer

Client: TypeAlias = Any


def test_a_fault_happens_as_often_as_it_should(
    stagebook: StagebookServer, ivs: Client, stagebook_account: Account
) -> None:
    once = stagebook.client(account=stagebook_account, config=Config(retries={"total_max_attempts": 1}))
    stagebook.fault("ListStages", "ACCESS_DENIED", times=1, account=stagebook_account)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        once.list_stages()
    assert ivs.list_stages()["stages"] == []


def test_a_fault_ends_with_its_block(stagebook: StagebookServer, ivs: Client) -> None:
    with stagebook.fault("ListStages", "ACCESS_DENIED", times=1_000), pytest.raises(ClientError):
        ivs.list_stages()
    assert ivs.list_stages()["stages"] == []


def test_ids_follow_from_a_seed_until_the_server_is_reset(stagebook: StagebookServer) -> None:
    def made() -> str:
        arn: str = stagebook.client(account=stagebook.new_account()).create_stage(name="show")["stage"]["arn"]
        return arn.partition(":stage/")[2]

    def seeded() -> str:
        stagebook.seed(42)
        return made()

    first = seeded()
    assert seeded() == first
    stagebook.seed(42)
    stagebook.reset()
    assert made() != first

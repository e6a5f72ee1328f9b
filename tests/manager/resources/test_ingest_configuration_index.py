"""The index of ingest configurations by participant."""

import pytest
from msgspec.structs import replace

from stagebook.book.changes import PutResource
from stagebook.manager.resources import ingest_configuration_index
from stagebook.manager.resources.ingest_configuration_index import IngestConfigurationIndex, participant_ids
from stagebook.stage.resources import IngestConfiguration, IngestCredential, IngestProtocol
from tests.manager.manager_harness import ACCOUNT, ManagerHarness

STAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/abcdABCDefgh"
OTHER_ACCOUNT = "210987654321"


def configuration(number: int, *, stage_arn: str = STAGE_ARN, account_id: str = ACCOUNT) -> IngestConfiguration:
    return IngestConfiguration(
        arn=f"arn:aws:ivs:us-west-2:{account_id}:ingest-configuration/number{number}",
        account_id=account_id,
        created_ms=number,
        ingest_protocol=IngestProtocol.RTMPS,
        stage_arn=stage_arn,
        participant_id=f"participant{number}",
        stream_key="key",
        redundant_credentials=(IngestCredential(participant_id=f"stream{number}", stream_key="key"),),
    )


@pytest.mark.parametrize("account_id", [None, ACCOUNT])
async def test_the_index_reads_the_configurations_of_the_book(
    harness: ManagerHarness, monkeypatch: pytest.MonkeyPatch, account_id: str | None
) -> None:
    monkeypatch.setattr(ingest_configuration_index, "_PAGE_SIZE", 2)
    made = [configuration(number) for number in range(5)]
    await harness.book.submit([PutResource(resource=one) for one in made]).durable

    index = IngestConfigurationIndex()
    await index.load(harness.book, account_id)

    for one in made:
        assert [index.of_participant(ACCOUNT, participant_id) for participant_id in participant_ids(one)] == [
            one.arn
        ] * 2
    assert index.of_participant(ACCOUNT, "nobody") is None


def test_the_index_follows_changes() -> None:
    index = IngestConfigurationIndex()
    first, second = configuration(1), configuration(2)
    index.change(None, first)
    index.change(None, second)

    index.change(first, moved := replace(first, stage_arn="", redundant_credentials=()))
    assert index.of_participant(ACCOUNT, "participant1") == first.arn
    assert index.of_participant(ACCOUNT, "stream1") is None

    index.change(moved, None)
    index.change(second, None)
    assert index.of_participant(ACCOUNT, "participant1") is None


def test_accounts_have_separate_indexes() -> None:
    index = IngestConfigurationIndex()
    index.change(None, configuration(1, account_id=OTHER_ACCOUNT))
    assert index.of_participant(ACCOUNT, "participant1") is None
    assert index.of_participant(OTHER_ACCOUNT, "participant1") == configuration(1, account_id=OTHER_ACCOUNT).arn

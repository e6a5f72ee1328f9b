"""Ingest configurations and the stages, participants and streams they belong to."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.manager.ingest_configurations import IngestFilter, IngestSpec
from stagebook.stage.errors import ConflictError, ResourceNotFoundError
from stagebook.stage.events import Cause
from stagebook.stage.resources import IngestConfiguration, IngestProtocol, Stage
from tests.manager.house import ACCOUNT, House, running_house


async def configuration_of(house: House, stage: Stage | None = None, *, redundant: bool = False) -> IngestConfiguration:
    spec = IngestSpec(
        ingest_protocol=IngestProtocol.RTMPS, stage_arn=stage.arn if stage else "", redundant_ingest=redundant
    )
    return await house.manager.ingest_configurations.create(account_id=ACCOUNT, spec=spec)


async def come_in(house: House, stage: Stage, configuration: IngestConfiguration, participant_id: str) -> str:
    """Let a participant publish as if an encoder had brought it in; return its connection."""
    connection_id = await house.publish(house.claims(stage, participant_id))
    live = house.manager._ledger.live.sessions[stage.arn].participants[participant_id]
    live.record = replace(live.record, ingest_configuration_arn=configuration.arn)
    return connection_id


def stored(house: House, configuration: IngestConfiguration) -> IngestConfiguration | None:
    resource = house.book.get_resource(configuration.arn)
    assert resource is None or isinstance(resource, IngestConfiguration)
    return resource


def attached_to(house: House, configuration: IngestConfiguration) -> str:
    found = stored(house, configuration)
    assert found is not None
    return found.stage_arn


async def test_a_configuration_is_active_while_its_participant_is_connected(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage)
    assert not house.manager.ingest_configurations.is_active(configuration)

    connection_id = await come_in(house, stage, configuration, configuration.participant_id)
    assert house.manager.ingest_configurations.is_active(configuration)

    house.engine.lose(connection_id)
    assert not house.manager.ingest_configurations.is_active(configuration)


async def test_either_redundant_stream_makes_it_active(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage, redundant=True)
    for credential in configuration.redundant_credentials:
        connection_id = await come_in(house, stage, configuration, credential.participant_id)
        assert house.manager.ingest_configurations.is_active(configuration)
        house.engine.lose(connection_id)
        assert not house.manager.ingest_configurations.is_active(configuration)


async def test_a_participant_with_a_token_does_not_make_it_active(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage)
    await house.publish(house.claims(stage, configuration.participant_id))
    assert not house.manager.ingest_configurations.is_active(configuration)


async def test_what_is_active_is_neither_updated_nor_deleted(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage)
    await come_in(house, stage, configuration, configuration.participant_id)

    with pytest.raises(ConflictError):
        await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn="", redundant_ingest=None)
    with pytest.raises(ConflictError):
        await house.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    assert stored(house, configuration) == configuration


async def test_force_disconnects_the_participants_and_deletes(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage, redundant=True)
    ids = [credential.participant_id for credential in configuration.redundant_credentials]
    for participant_id in ids:
        await come_in(house, stage, configuration, participant_id)
    await house.subscribe(house.claims(stage, "V"), ids[0])

    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    assert stored(house, configuration) is None
    for participant_id in ids:
        assert await house.events(stage, participant_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        last = house.book.list_events(stage.arn, house.session_id(stage), participant_id)[-1].event
        assert last.cause is Cause.DISCONNECTED_BY_API
    assert (await house.events(stage, "V"))[-1] == "LEFT"


async def test_disconnecting_its_participant_takes_the_configuration_off_the_stage(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage)
    await come_in(house, stage, configuration, configuration.participant_id)

    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason="enough"
    )

    assert attached_to(house, configuration) == ""
    assert (await house.events(stage, configuration.participant_id))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_configuration_that_was_taken_off_can_come_back(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage)
    for _ in range(2):  # a client that did not get the answer asks again
        await house.manager.disconnect_participant(
            stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
        )

    await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn=stage.arn, redundant_ingest=None)

    assert attached_to(house, configuration) == stage.arn
    assert configuration.participant_id not in house.book.list_revoked(stage.arn)
    assert await come_in(house, stage, configuration, configuration.participant_id)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_disconnecting_one_of_the_redundant_participants_ends_them_all(house: House, which: int) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage, redundant=True)
    streams = [credential.participant_id for credential in configuration.redundant_credentials]
    for participant_id in streams:
        await come_in(house, stage, configuration, participant_id)

    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=[configuration.participant_id, *streams][which], reason=""
    )

    assert attached_to(house, configuration) == ""
    for participant_id in streams:
        assert (await house.events(stage, participant_id))[-1] == "LEFT"


async def test_disconnecting_on_another_stage_leaves_the_configuration_alone(house: House) -> None:
    stage, other = await house.stage(), await house.stage("other")
    configuration = await configuration_of(house, stage)
    await house.manager.disconnect_participant(
        stage_arn=other.arn, participant_id=configuration.participant_id, reason=""
    )
    assert attached_to(house, configuration) == stage.arn


async def test_a_participant_with_the_id_of_a_configuration_is_disconnected_too(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house)
    await house.publish(house.claims(stage, configuration.participant_id))
    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
    )
    assert (await house.events(stage, configuration.participant_id))[-1] == "LEFT"


async def test_deleting_a_stage_clears_it_from_all_its_configurations(house: House) -> None:
    stage, other = await house.stage(), await house.stage("other")
    attached = [await configuration_of(house, stage) for _ in range(3)]
    elsewhere = await configuration_of(house, other)
    await come_in(house, stage, attached[0], attached[0].participant_id)

    await house.manager.delete_stage(stage_arn=stage.arn)

    assert [attached_to(house, configuration) for configuration in attached] == ["", "", ""]
    assert attached_to(house, elsewhere) == other.arn


async def test_what_was_attached_is_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_house(path) as house:
        stage, other = await house.stage(), await house.stage("other")
        first, second = await configuration_of(house, stage), await configuration_of(house, other, redundant=True)
    async with running_house(path, seed=2) as house:
        await house.manager.delete_stage(stage_arn=stage.arn)
        await house.manager.disconnect_participant(
            stage_arn=other.arn, participant_id=second.redundant_credentials[1].participant_id, reason=""
        )
        assert (attached_to(house, first), attached_to(house, second)) == ("", "")


async def test_a_list_by_state_and_by_stage_shows_what_matches_page_by_page(house: House) -> None:
    stage = await house.stage()
    made = [await configuration_of(house, stage if number % 3 == 0 else None) for number in range(10)]
    await come_in(house, stage, made[6], made[6].participant_id)

    def all_of(where: IngestFilter) -> list[IngestConfiguration]:
        found: list[IngestConfiguration] = []
        after: int | None = None
        while True:
            page = house.manager.ingest_configurations.page(ACCOUNT, where=where, after=after, limit=2)
            assert len(page.items) <= 2
            found += page.items
            after = page.next_position
            if after is None:
                return found

    assert all_of(IngestFilter()) == made
    assert all_of(IngestFilter(stage_arn=stage.arn)) == [made[0], made[3], made[6], made[9]]
    assert all_of(IngestFilter(active=True)) == [made[6]]
    assert all_of(IngestFilter(active=False)) == [*made[:6], *made[7:]]


async def test_what_was_deleted_is_gone_from_the_index_too(house: House) -> None:
    stage = await house.stage()
    configuration = await configuration_of(house, stage)
    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    with pytest.raises(ResourceNotFoundError):
        await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
    )
    await house.manager.delete_stage(stage_arn=stage.arn)
    assert house.book.list_resources(ACCOUNT, "ingest-configuration", after=None, limit=5).items == []

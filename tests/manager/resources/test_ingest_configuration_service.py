"""Ingest configurations and the stages, participants and streams they belong to."""

from pathlib import Path

import pytest

from stagebook.manager.resources.ingest_configuration_service import IngestFilter
from stagebook.stage.errors import ConflictError, ResourceNotFoundError
from stagebook.stage.events import Cause
from stagebook.stage.resources import IngestConfiguration
from tests.manager.house import ACCOUNT, ManagerHarness, running_house


def stored(house: ManagerHarness, configuration: IngestConfiguration) -> IngestConfiguration | None:
    resource = house.book.get_resource(configuration.arn)
    assert resource is None or isinstance(resource, IngestConfiguration)
    return resource


def attached_to(house: ManagerHarness, configuration: IngestConfiguration) -> str:
    found = stored(house, configuration)
    assert found is not None
    return found.stage_arn


async def test_a_configuration_is_active_while_its_participant_is_connected(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    assert not house.manager.ingest_configurations.is_active(configuration)

    connection_id = await house.encode(configuration.stream_key)
    assert house.manager.ingest_configurations.is_active(configuration)

    house.engine.lose(connection_id)
    assert not house.manager.ingest_configurations.is_active(configuration)


async def test_either_redundant_stream_makes_it_active(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage, redundant=True)
    for credential in configuration.redundant_credentials:
        connection_id = await house.encode(credential.stream_key)
        assert house.manager.ingest_configurations.is_active(configuration)
        house.engine.lose(connection_id)
        assert not house.manager.ingest_configurations.is_active(configuration)


async def test_what_is_active_is_neither_updated_nor_deleted(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    await house.encode(configuration.stream_key)

    with pytest.raises(ConflictError):
        await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn="", redundant_ingest=None)
    with pytest.raises(ConflictError):
        await house.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    assert stored(house, configuration) == configuration


async def test_force_disconnects_the_participants_and_deletes(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage, redundant=True)
    ids = [credential.participant_id for credential in configuration.redundant_credentials]
    for credential in configuration.redundant_credentials:
        await house.encode(credential.stream_key)
    await house.subscribe(house.claims(stage, "viewer"), configuration.participant_id)

    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    assert stored(house, configuration) is None
    for participant_id in [configuration.participant_id, *ids]:
        assert await house.events(stage, participant_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        last = house.book.list_events(stage.arn, house.session_id(stage), participant_id)[-1].event
        assert last.cause is Cause.DISCONNECTED_BY_API
    assert (await house.events(stage, "viewer"))[-1] == "LEFT"


@pytest.mark.parametrize("way", ["deleted", "moved", "taken off"])
async def test_nobody_is_awaited_back_who_cannot_come_back(house: ManagerHarness, way: str) -> None:
    stage, other = await house.stage(), await house.stage("other")
    configuration = await house.configuration(stage)
    connection_id = await house.encode(configuration.stream_key)
    await house.manager.replication.start(
        source_stage_arn=stage.arn,
        destination_stage_arn=other.arn,
        participant_id=configuration.participant_id,
        window_seconds=10,
        attributes={},
    )
    house.engine.lose(connection_id)
    assert (await house.events(other, configuration.participant_id))[-1] == "PUBLISH_STOPPED"

    if way == "deleted":
        await house.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    else:
        to = other.arn if way == "moved" else ""
        await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn=to, redundant_ingest=None)

    assert (await house.events(stage, configuration.participant_id))[-1] == "REPLICATION_STOPPED"
    assert (await house.events(other, configuration.participant_id))[-1] == "LEFT"


async def test_what_changes_on_its_stage_ends_no_waiting(house: ManagerHarness) -> None:
    stage, other = await house.stage(), await house.stage("other")
    configuration = await house.configuration(stage)
    connection_id = await house.encode(configuration.stream_key)
    await house.manager.replication.start(
        source_stage_arn=stage.arn,
        destination_stage_arn=other.arn,
        participant_id=configuration.participant_id,
        window_seconds=10,
        attributes={},
    )
    house.engine.lose(connection_id)

    changed = await house.manager.ingest_configurations.update(
        arn=configuration.arn, stage_arn=stage.arn, redundant_ingest=True
    )
    await house.encode(changed.redundant_credentials[0].stream_key)

    assert (await house.events(other, configuration.participant_id))[-1] == "PUBLISH_STARTED"


async def test_disconnecting_its_participant_takes_the_configuration_off_the_stage(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    await house.encode(configuration.stream_key)

    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason="enough"
    )

    assert attached_to(house, configuration) == ""
    assert (await house.events(stage, configuration.participant_id))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_configuration_that_was_taken_off_can_come_back(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    for _ in range(2):  # a client that did not get the answer asks again
        await house.manager.disconnect_participant(
            stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
        )

    await house.manager.ingest_configurations.update(arn=configuration.arn, stage_arn=stage.arn, redundant_ingest=None)

    assert attached_to(house, configuration) == stage.arn
    assert configuration.participant_id not in house.book.list_revoked(stage.arn)
    assert await house.encode(configuration.stream_key)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_disconnecting_one_of_the_redundant_participants_ends_them_all(house: ManagerHarness, which: int) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage, redundant=True)
    streams = [credential.participant_id for credential in configuration.redundant_credentials]
    for credential in configuration.redundant_credentials:
        await house.encode(credential.stream_key)

    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=[configuration.participant_id, *streams][which], reason=""
    )

    assert attached_to(house, configuration) == ""
    for participant_id in [configuration.participant_id, *streams]:
        assert (await house.events(stage, participant_id))[-1] == "LEFT"


async def test_disconnecting_on_another_stage_leaves_the_configuration_alone(house: ManagerHarness) -> None:
    stage, other = await house.stage(), await house.stage("other")
    configuration = await house.configuration(stage)
    await house.manager.disconnect_participant(
        stage_arn=other.arn, participant_id=configuration.participant_id, reason=""
    )
    assert attached_to(house, configuration) == stage.arn


async def test_deleting_a_stage_clears_it_from_all_its_configurations(house: ManagerHarness) -> None:
    stage, other = await house.stage(), await house.stage("other")
    attached = [await house.configuration(stage) for _ in range(3)]
    elsewhere = await house.configuration(other)
    await house.encode(attached[0].stream_key)

    await house.manager.delete_stage(stage_arn=stage.arn)

    assert [attached_to(house, configuration) for configuration in attached] == ["", "", ""]
    assert attached_to(house, elsewhere) == other.arn


async def test_what_was_attached_is_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_house(path) as house:
        stage, other = await house.stage(), await house.stage("other")
        first, second = await house.configuration(stage), await house.configuration(other, redundant=True)
    async with running_house(path, seed=2) as house:
        await house.manager.delete_stage(stage_arn=stage.arn)
        await house.manager.disconnect_participant(
            stage_arn=other.arn, participant_id=second.redundant_credentials[1].participant_id, reason=""
        )
        assert (attached_to(house, first), attached_to(house, second)) == ("", "")


async def test_a_list_by_state_and_by_stage_shows_what_matches_page_by_page(house: ManagerHarness) -> None:
    stage = await house.stage()
    made = [await house.configuration(stage if number % 3 == 0 else None) for number in range(10)]
    await house.encode(made[6].stream_key)

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


async def test_what_was_deleted_is_gone_from_the_index_too(house: ManagerHarness) -> None:
    stage = await house.stage()
    configuration = await house.configuration(stage)
    await house.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    with pytest.raises(ResourceNotFoundError):
        await house.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    await house.manager.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
    )
    await house.manager.delete_stage(stage_arn=stage.arn)
    assert house.book.list_resources(ACCOUNT, "ingest-configuration", after=None, limit=5).items == []

"""Ingest configurations: their state, their stage, and the participants that end with them."""

from pathlib import Path

import pytest

from stagebook.manager.resources import ingest_configuration_service
from stagebook.manager.resources.ingest_configuration_service import IngestFilter
from stagebook.stage.errors import ConflictError, ResourceNotFoundError
from stagebook.stage.events import Cause
from stagebook.stage.resources import IngestConfiguration
from tests.manager.manager_harness import ACCOUNT, ManagerHarness, running_manager


def stored(harness: ManagerHarness, configuration: IngestConfiguration) -> IngestConfiguration | None:
    resource = harness.book.get_resource(configuration.arn)
    assert resource is None or isinstance(resource, IngestConfiguration)
    return resource


def attached_to(harness: ManagerHarness, configuration: IngestConfiguration) -> str:
    return harness.manager.ingest_configurations.get(configuration.arn).stage_arn


async def test_a_configuration_is_active_while_its_participant_is_connected(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    assert not harness.manager.ingest_configurations.is_active(configuration)

    connection_id = await harness.publish_rtmp(configuration.stream_key)
    assert harness.manager.ingest_configurations.is_active(configuration)

    harness.engine.lose(connection_id)
    assert not harness.manager.ingest_configurations.is_active(configuration)


async def test_either_redundant_stream_makes_it_active(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage, redundant=True)
    for credential in configuration.redundant_credentials:
        connection_id = await harness.publish_rtmp(credential.stream_key)
        assert harness.manager.ingest_configurations.is_active(configuration)
        harness.engine.lose(connection_id)
        assert not harness.manager.ingest_configurations.is_active(configuration)


async def test_an_active_configuration_is_neither_updated_nor_deleted(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    await harness.publish_rtmp(configuration.stream_key)

    with pytest.raises(ConflictError):
        await harness.manager.ingest_configurations.update(arn=configuration.arn, stage_arn="", redundant_ingest=None)
    with pytest.raises(ConflictError):
        await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    assert stored(harness, configuration) == configuration


async def test_force_disconnects_the_participants_and_deletes(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage, redundant=True)
    ids = [credential.participant_id for credential in configuration.redundant_credentials]
    for credential in configuration.redundant_credentials:
        await harness.publish_rtmp(credential.stream_key)
    await harness.subscribe(harness.claims(stage, "viewer"), configuration.participant_id)

    await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    assert stored(harness, configuration) is None
    for participant_id in [configuration.participant_id, *ids]:
        assert await harness.events(stage, participant_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        last = harness.book.list_events(stage.arn, harness.session_id(stage), participant_id)[-1].event
        assert last.cause is Cause.DISCONNECTED_BY_API
    assert (await harness.events(stage, "viewer"))[-1] == "LEFT"


@pytest.mark.parametrize("way", ["deleted", "moved", "taken off"])
async def test_a_publisher_that_cannot_return_is_not_awaited(harness: ManagerHarness, way: str) -> None:
    stage, other = await harness.stage(), await harness.stage("other")
    configuration = await harness.configuration(stage)
    connection_id = await harness.publish_rtmp(configuration.stream_key)
    await harness.manager.replications.start(
        source_stage_arn=stage.arn,
        destination_stage_arn=other.arn,
        participant_id=configuration.participant_id,
        window_seconds=10,
        attributes={},
    )
    harness.engine.lose(connection_id)
    assert (await harness.events(other, configuration.participant_id))[-1] == "PUBLISH_STOPPED"

    if way == "deleted":
        await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    else:
        to = other.arn if way == "moved" else ""
        await harness.manager.ingest_configurations.update(arn=configuration.arn, stage_arn=to, redundant_ingest=None)

    assert (await harness.events(stage, configuration.participant_id))[-1] == "REPLICATION_STOPPED"
    assert (await harness.events(other, configuration.participant_id))[-1] == "LEFT"


async def test_a_change_that_keeps_the_stage_keeps_the_replication_waiting(harness: ManagerHarness) -> None:
    stage, other = await harness.stage(), await harness.stage("other")
    configuration = await harness.configuration(stage)
    connection_id = await harness.publish_rtmp(configuration.stream_key)
    await harness.manager.replications.start(
        source_stage_arn=stage.arn,
        destination_stage_arn=other.arn,
        participant_id=configuration.participant_id,
        window_seconds=10,
        attributes={},
    )
    harness.engine.lose(connection_id)

    changed = await harness.manager.ingest_configurations.update(
        arn=configuration.arn, stage_arn=stage.arn, redundant_ingest=True
    )
    await harness.publish_rtmp(changed.redundant_credentials[0].stream_key)

    assert (await harness.events(other, configuration.participant_id))[-1] == "PUBLISH_STARTED"


async def test_disconnecting_its_participant_detaches_the_configuration(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    await harness.publish_rtmp(configuration.stream_key)

    await harness.manager.stages.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason="enough"
    )

    assert attached_to(harness, configuration) == ""
    assert (await harness.events(stage, configuration.participant_id))[-2:] == ["PUBLISH_STOPPED", "LEFT"]


async def test_a_detached_configuration_can_be_attached_again(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    for _ in range(2):  # a client that did not receive the response repeats the call
        await harness.manager.stages.disconnect_participant(
            stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
        )

    await harness.manager.ingest_configurations.update(
        arn=configuration.arn, stage_arn=stage.arn, redundant_ingest=None
    )

    assert attached_to(harness, configuration) == stage.arn
    assert not harness.book.is_revoked(stage.arn, configuration.participant_id)
    assert await harness.publish_rtmp(configuration.stream_key)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_disconnecting_one_of_the_redundant_participants_ends_them_all(
    harness: ManagerHarness, which: int
) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage, redundant=True)
    streams = [credential.participant_id for credential in configuration.redundant_credentials]
    for credential in configuration.redundant_credentials:
        await harness.publish_rtmp(credential.stream_key)

    await harness.manager.stages.disconnect_participant(
        stage_arn=stage.arn, participant_id=[configuration.participant_id, *streams][which], reason=""
    )

    assert attached_to(harness, configuration) == ""
    for participant_id in [configuration.participant_id, *streams]:
        assert (await harness.events(stage, participant_id))[-1] == "LEFT"


async def test_disconnecting_on_another_stage_leaves_the_configuration_alone(harness: ManagerHarness) -> None:
    stage, other = await harness.stage(), await harness.stage("other")
    configuration = await harness.configuration(stage)
    await harness.manager.stages.disconnect_participant(
        stage_arn=other.arn, participant_id=configuration.participant_id, reason=""
    )
    assert attached_to(harness, configuration) == stage.arn


async def test_deleting_a_stage_clears_it_from_all_its_configurations(harness: ManagerHarness) -> None:
    stage, other = await harness.stage(), await harness.stage("other")
    attached = [await harness.configuration(stage) for _ in range(3)]
    elsewhere = await harness.configuration(other)
    await harness.publish_rtmp(attached[0].stream_key)

    await harness.manager.stages.delete(stage_arn=stage.arn)

    assert [attached_to(harness, configuration) for configuration in attached] == ["", "", ""]
    assert attached_to(harness, elsewhere) == other.arn


async def test_attached_configurations_are_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite3"
    async with running_manager(path) as harness:
        stage, other = await harness.stage(), await harness.stage("other")
        first, second = await harness.configuration(stage), await harness.configuration(other, redundant=True)
    async with running_manager(path, seed=2) as harness:
        await harness.manager.stages.delete(stage_arn=stage.arn)
        await harness.manager.stages.disconnect_participant(
            stage_arn=other.arn, participant_id=second.redundant_credentials[1].participant_id, reason=""
        )
        assert (attached_to(harness, first), attached_to(harness, second)) == ("", "")


async def test_lists_are_filtered_by_state_and_stage_in_pages(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    made = [await harness.configuration(stage if number % 3 == 0 else None) for number in range(10)]
    await harness.publish_rtmp(made[6].stream_key)

    async def all_of(where: IngestFilter) -> list[IngestConfiguration]:
        found: list[IngestConfiguration] = []
        after: int | None = None
        while True:
            page = await harness.manager.ingest_configurations.page(ACCOUNT, where=where, after=after, limit=2)
            assert len(page.items) <= 2
            found += page.items
            after = page.next_position
            if after is None:
                return found

    assert await all_of(IngestFilter()) == made
    assert await all_of(IngestFilter(stage_arn=stage.arn)) == [made[0], made[3], made[6], made[9]]
    assert await all_of(IngestFilter(active=True)) == [made[6]]
    assert await all_of(IngestFilter(active=False)) == [*made[:6], *made[7:]]


async def test_a_filtered_page_reads_a_bounded_number_of_configurations(
    harness: ManagerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_configuration_service, "ROWS_PER_PAGE", 4)
    made = [await harness.configuration(None) for _ in range(10)]
    await harness.manager.ingest_configurations.update(
        arn=made[9].arn, stage_arn=(stage := await harness.stage()).arn, redundant_ingest=None
    )

    found: list[list[str]] = []
    after: int | None = None
    while len(found) == 0 or after is not None:
        page = await harness.manager.ingest_configurations.page(
            ACCOUNT, where=IngestFilter(stage_arn=stage.arn), after=after, limit=2
        )
        found.append([configuration.arn for configuration in page.items])
        after = page.next_position

    assert found == [[], [], [made[9].arn]]


async def test_a_deleted_configuration_is_removed_from_the_index(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    configuration = await harness.configuration(stage)
    await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=False)
    with pytest.raises(ResourceNotFoundError):
        await harness.manager.ingest_configurations.delete(arn=configuration.arn, force=True)

    await harness.manager.stages.disconnect_participant(
        stage_arn=stage.arn, participant_id=configuration.participant_id, reason=""
    )
    await harness.manager.stages.delete(stage_arn=stage.arn)
    assert harness.book.list_resources(ACCOUNT, "ingest-configuration", after=None, limit=5).items == []

"""Compositions of a running manager: requests, reports of the engine, time, and the end of the server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from stagebook.manager.compositions.composition_service import SHUTDOWN_SECONDS
from stagebook.media.composition.composition_port import BucketOutput, CanvasSettings, ChannelOutput, OutputFault
from stagebook.media.composition.layout.layout_settings import GridLayout, PipBehavior, PipLayout, PipPosition
from stagebook.media.recording.recording_port import ThumbnailSettings
from stagebook.stage.composition.composition import KEPT_MS, CompositionState, DestinationState
from stagebook.stage.composition.composition_machine import STARTING_MS, WITHOUT_PUBLISHER_MS
from stagebook.stage.errors import ConflictError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.limits import RELAXED
from tests.manager.compositions.composed_stage import CHANNELS, ComposedStage
from tests.manager.compositions.scripted_composer import ScriptedComposer
from tests.manager.manager_harness import ACCOUNT, ManagerHarness, running_manager, until


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ManagerHarness]:
    async with running_manager(tmp_path / "book", channels=CHANNELS) as running:
        yield running


@pytest.fixture
async def on(harness: ManagerHarness) -> ComposedStage:
    return await ComposedStage.create(harness)


async def test_the_engine_is_told_what_to_compose(on: ComposedStage) -> None:
    thumbnails = [{"targetIntervalSeconds": 5, "storage": ["LATEST"]}]
    small = await on.harness.manager.configurations.create_encoder(
        account_id=ACCOUNT, tags={}, width=320, height=180, framerate=30.0, bitrate_bps=500_000
    )
    members = {"encoderConfigurationArns": [small.arn], "thumbnailConfigurations": thumbnails}
    bucket = {"s3": on.bucket_destination["s3"] | members}
    composition = await on.compose(bucket, on.channel_destination)
    request = on.harness.composer.requests[composition.composition_id]
    first, second = composition.destinations
    stage_id = on.stage.arn.rpartition("/")[2]
    prefix = f"{stage_id}/{composition.composition_id}/{first.destination_id}/composite"
    assert request.outputs == (
        BucketOutput(
            destination_id=first.destination_id,
            canvas=CanvasSettings(width=320, height=180, frames_per_second=30.0, bitrate_bps=500_000),
            bucket_name="bucket",
            prefix=prefix,
            segment_seconds=2,
            thumbnails=ThumbnailSettings(interval_seconds=5, is_sequential=False, is_latest=True),
        ),
        ChannelOutput(
            destination_id=second.destination_id,
            canvas=CanvasSettings(width=640, height=360, frames_per_second=25.0, bitrate_bps=1_000_000),
            url="rtmp://127.0.0.1/app/key",
        ),
    )
    assert (request.stage_arn, request.started_ms) == (on.stage.arn, on.harness.clock.ms)
    assert request.layout == GridLayout()


async def test_the_engine_is_told_the_layout(on: ComposedStage) -> None:
    pip = {"pipBehavior": "DYNAMIC", "pipPosition": "TOP_LEFT", "pipWidth": 100, "featuredParticipantAttribute": "star"}
    composition = await on.compose(layout={"pip": pip})
    assert on.harness.composer.requests[composition.composition_id].layout == PipLayout(
        pip_behavior=PipBehavior.DYNAMIC,
        pip_position=PipPosition.TOP_LEFT,
        pip_width_pixels=100,
        featured_participant_attribute="star",
    )


async def test_a_composition_starts_and_stops(on: ComposedStage) -> None:
    composition_id = await on.active()
    assert on.stored(composition_id).state is CompositionState.ACTIVE
    await on.harness.manager.compositions.stop(arn=on.arn(composition_id))
    await on.harness.settled()
    assert on.stored(composition_id).state is CompositionState.STOPPED
    assert on.events(composition_id) == ["STARTED", "DESTINATION_STARTED", "DESTINATION_ENDED", "ENDED"]
    assert on.harness.composer.ended == [composition_id]


async def test_a_stop_before_the_start_is_durable_ends_what_was_started(on: ComposedStage) -> None:
    manager = on.harness.manager
    starting = asyncio.create_task(on.compose())
    await until(lambda: any(manager.compositions._known.running()))
    (known,) = manager.compositions._known.running()
    await manager.compositions.stop(arn=known.composition.arn)
    composition = await starting
    await on.harness.settled()
    assert on.harness.composer.ended == [composition.composition_id]
    assert on.stored(composition.composition_id).state is CompositionState.STOPPED


async def test_stopping_a_composition_again_changes_nothing(on: ComposedStage) -> None:
    composition_id = await on.active()
    for _ in range(2):
        await on.harness.manager.compositions.stop(arn=on.arn(composition_id))
        await on.harness.settled()
    assert on.harness.composer.ended == [composition_id]
    assert on.events(composition_id).count("ENDED") == 1


async def test_an_unknown_composition_cannot_be_stopped(on: ComposedStage) -> None:
    with pytest.raises(ResourceNotFoundError, match="composition"):
        await on.harness.manager.compositions.stop(arn=on.arn("abcdABCDefgh"))


async def test_a_stage_without_a_publisher_ends_its_composition_after_a_minute(on: ComposedStage) -> None:
    composition_id = await on.active()
    await on.pass_time(WITHOUT_PUBLISHER_MS)
    assert on.stored(composition_id).state is CompositionState.STOPPED


async def test_a_publisher_keeps_a_composition_until_a_minute_after_it_has_gone(on: ComposedStage) -> None:
    connection_id = await on.harness.publish(on.harness.claims(on.stage, "p"))
    composition_id = await on.active()
    await on.pass_time(2 * WITHOUT_PUBLISHER_MS)
    assert on.stored(composition_id).state is CompositionState.ACTIVE
    on.harness.engine.lose(connection_id)
    await on.harness.settled()
    await on.pass_time(WITHOUT_PUBLISHER_MS - 1)
    assert on.stored(composition_id).state is CompositionState.ACTIVE
    await on.pass_time(1)
    assert on.stored(composition_id).state is CompositionState.STOPPED


async def test_a_deleted_stage_fails_its_compositions(on: ComposedStage) -> None:
    composition_id = await on.active()
    await on.harness.manager.stages.delete(stage_arn=on.stage.arn)
    await on.harness.settled()
    assert on.stored(composition_id).state is CompositionState.FAILED
    assert on.events(composition_id)[-2:] == ["DESTINATION_ENDED", "FAILED:StageDeleted"]


async def test_an_engine_that_reports_nothing_fails_the_composition(on: ComposedStage) -> None:
    composition = await on.compose()
    await on.pass_time(STARTING_MS)
    assert on.events(composition.composition_id) == [
        "DESTINATION_FAILED:InternalServerException",
        "FAILED:DestinationFailure",
    ]
    assert on.harness.composer.ended == [composition.composition_id]


@pytest.mark.parametrize("fault", OutputFault)
async def test_each_fault_of_a_destination_is_recorded_with_its_code(on: ComposedStage, fault: OutputFault) -> None:
    composition_id = await on.active()
    (destination_id,) = on.harness.composer.outputs(composition_id)
    on.harness.composer.fail(composition_id, destination_id, fault)
    await on.harness.settled()
    assert on.events(composition_id)[-2:] == [f"DESTINATION_FAILED:{fault.value}", "FAILED:DestinationFailure"]


async def test_a_destination_that_reconnects_is_shown_so(on: ComposedStage) -> None:
    composition_id = await on.active(on.channel_destination)
    (destination_id,) = on.harness.composer.outputs(composition_id)
    on.harness.composer.reconnect(composition_id, destination_id)
    await on.harness.settled()
    assert on.stored(composition_id).destinations[0].state is DestinationState.RECONNECTING
    on.harness.composer.start_outputs(composition_id)
    await on.harness.settled()
    assert on.events(composition_id)[1:] == [
        "DESTINATION_STARTED",
        "DESTINATION_RECONNECTING",
        "DESTINATION_STARTED",
    ]


async def test_a_lost_process_fails_the_composition(on: ComposedStage) -> None:
    composition_id = await on.active()
    on.harness.composer.lose(composition_id)
    await on.harness.settled()
    assert on.events(composition_id)[-1] == "FAILED:InternalServerException"
    assert on.harness.composer.ended == []


async def test_a_channel_that_another_composition_uses_fails_as_existing_stream(on: ComposedStage) -> None:
    first = await on.active(on.channel_destination)
    second = (await on.compose(on.channel_destination)).composition_id
    assert on.events(second) == ["DESTINATION_FAILED:ConflictException", "FAILED:DestinationFailure"]
    assert second not in on.harness.composer.requests
    both = (await on.compose(on.channel_destination, on.bucket_destination)).composition_id
    (output,) = on.harness.composer.requests[both].outputs
    assert isinstance(output, BucketOutput)
    await on.harness.manager.compositions.stop(arn=on.arn(first))
    await on.harness.settled()
    third = await on.active(on.channel_destination)
    assert on.stored(third).state is CompositionState.ACTIVE


async def test_the_same_token_and_parameters_give_the_same_composition(on: ComposedStage) -> None:
    first = await on.compose(idempotencyToken="token")
    grid = {"grid": {"gridGap": 2}}
    again = await on.compose(idempotencyToken="token", layout=grid, tags={})
    assert again.arn == first.arn
    assert len(on.harness.composer.requests) == 1
    other = await on.compose(idempotencyToken="other")
    assert other.arn != first.arn


async def test_two_starts_at_once_with_one_token_make_one_composition(on: ComposedStage) -> None:
    started = await asyncio.gather(*(on.compose(idempotencyToken="token") for _ in range(3)))
    assert len({each.arn for each in started}) == len(on.harness.composer.requests) == 1


@pytest.mark.parametrize(
    "members", [{"tags": {"a": "b"}}, {"layout": {"pip": {}}}, {"layout": {"grid": {"gridGap": 3}}}]
)
async def test_the_same_token_with_other_parameters_is_a_conflict(
    on: ComposedStage, members: dict[str, object]
) -> None:
    await on.compose(idempotencyToken="token")
    with pytest.raises(ConflictError, match="idempotencyToken"):
        await on.compose(idempotencyToken="token", **members)


async def test_a_token_is_known_as_long_as_its_composition_is_shown(on: ComposedStage) -> None:
    first = await on.compose(idempotencyToken="token")
    await on.harness.manager.compositions.put_tags(arn=first.arn, tags={"later": "tag"})
    await on.harness.manager.compositions.stop(arn=first.arn)
    await on.harness.settled()
    assert (await on.compose(idempotencyToken="token")).arn == first.arn
    await on.pass_time(KEPT_MS)
    assert (await on.compose(idempotencyToken="token")).arn != first.arn


async def test_a_token_that_is_used_anew_stays_known_when_its_first_composition_is_forgotten(on: ComposedStage) -> None:
    await on.pass_time(KEPT_MS)
    first = await on.compose(idempotencyToken="token")
    await on.harness.manager.compositions.stop(arn=first.arn)
    await on.harness.settled()
    on.harness.clock.ms += KEPT_MS
    second = await on.compose(idempotencyToken="token")
    assert second.arn != first.arn
    await on.pass_time(0)
    assert (await on.compose(idempotencyToken="token")).arn == second.arn


async def test_quotas_count_what_has_not_ended(tmp_path: Path) -> None:
    limits = replace(RELAXED, compositions=3, compositions_per_stage=2)
    async with running_manager(tmp_path / "book", limits=limits) as harness:
        on = await ComposedStage.create(harness)
        first = await on.compose()
        await on.compose()
        with pytest.raises(ServiceQuotaExceededError, match="compositions of the stage is at its quota of 2"):
            await on.compose()
        elsewhere = await ComposedStage.create(harness)
        await elsewhere.compose()
        with pytest.raises(ServiceQuotaExceededError, match="compositions is at its quota of 3"):
            await elsewhere.compose()
        await harness.manager.compositions.stop(arn=first.arn)
        await harness.settled()
        await elsewhere.compose()


async def test_compositions_of_all_accounts_are_counted_against_what_the_engine_can_run(on: ComposedStage) -> None:
    on.harness.composer.max_compositions = 1
    first = await on.compose()
    elsewhere = await ComposedStage.create(on.harness)
    with pytest.raises(ServiceQuotaExceededError, match=r"setting max_compositions.* is at its quota of 1"):
        await elsewhere.compose()
    await on.harness.manager.compositions.stop(arn=first.arn)
    await on.harness.settled()
    await elsewhere.compose()


async def test_configurations_in_use_cannot_be_deleted(on: ComposedStage) -> None:
    composition = await on.compose()
    configurations = on.harness.manager.configurations
    with pytest.raises(ConflictError, match=composition.arn):
        await configurations.delete_encoder(arn=on.encoder.arn)
    with pytest.raises(ConflictError, match=composition.arn):
        await configurations.delete_storage(arn=on.storage.arn)
    await on.harness.manager.compositions.stop(arn=composition.arn)
    await on.harness.settled()
    await configurations.delete_encoder(arn=on.encoder.arn)
    await configurations.delete_storage(arn=on.storage.arn)


async def test_an_interrupted_run_leaves_no_composition(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        on = await ComposedStage.create(harness)
        active, starting = await on.active(), (await on.compose(idempotencyToken="token")).composition_id
    async with running_manager(tmp_path / "book") as harness:
        on.harness = harness
        assert harness.book.compositions.list_open() == []
        ending = ["DESTINATION_FAILED:InternalServerException", "FAILED:InternalServerException"]
        assert on.events(active) == ["STARTED", "DESTINATION_STARTED", *ending]
        assert on.events(starting) == ending
        assert (await on.compose(idempotencyToken="token")).composition_id == starting


async def test_an_interrupted_run_leaves_a_composition_that_is_complete_on_disk_as_ended(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book", composer=ScriptedComposer(completes=False)) as harness:
        on = await ComposedStage.create(harness)
        composition_id = await on.active()
        await harness.manager.compositions.stop(arn=on.arn(composition_id))
        [destination] = on.stored(composition_id).destinations
    composer = ScriptedComposer()
    composer.complete_before = [(composition_id, destination.destination_id), ("other", "destination")]
    async with running_manager(tmp_path / "book", composer=composer) as harness:
        on.harness = harness
        assert on.stored(composition_id).state is CompositionState.STOPPED
        assert on.events(composition_id)[-2:] == ["DESTINATION_ENDED", "ENDED"]


async def test_a_shutdown_completes_compositions(on: ComposedStage) -> None:
    composition_id = await on.active()
    await on.harness.manager.shutdown()
    assert on.stored(composition_id).state is CompositionState.STOPPED
    assert on.events(composition_id)[-1] == "ENDED"


async def test_a_shutdown_fails_what_does_not_complete_in_time(on: ComposedStage) -> None:
    on.harness.composer.completes = False
    composition_id = await on.active()
    await on.harness.manager.compositions.shutdown(timeout_seconds=0.01)
    assert on.stored(composition_id).state is CompositionState.FAILED
    assert on.events(composition_id)[-1] == "FAILED:InternalServerException"


async def test_the_next_timer_includes_those_of_compositions(on: ComposedStage) -> None:
    assert on.harness.manager.next_timer_ms is None
    await on.compose()
    assert on.harness.manager.next_timer_ms == on.harness.clock.monotonic_ms() + STARTING_MS


def test_the_end_of_the_server_waits_less_than_container_platforms_do() -> None:
    assert SHUTDOWN_SECONDS < 10

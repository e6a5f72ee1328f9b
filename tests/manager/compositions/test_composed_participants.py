"""Whom a composition shows, in which order, and that it follows the stage."""

import pytest
from msgspec.structs import replace

from stagebook.book.book_values import ParticipantFilter
from stagebook.media.composition.composition_port import ComposedParticipant
from stagebook.stage.resources import Capability
from tests.manager.compositions.composed_stage import ComposedStage
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher
from tests.manager.own_tokens import own_tokens


@pytest.fixture
async def on(harness: ManagerHarness) -> ComposedStage:
    return await ComposedStage.create(harness)


async def shown(on: ComposedStage, composition_id: str) -> tuple[ComposedParticipant, ...]:
    """Return whom the engine was told last."""
    await on.harness.settled()
    return on.harness.composer.shown[composition_id][-1]


async def test_those_who_publish_are_shown_in_order_of_arrival(on: ComposedStage) -> None:
    harness = on.harness
    for participant_id in ("c", "a", "b"):
        await harness.publish(harness.claims(on.stage, participant_id))
    await harness.subscribe(harness.claims(on.stage, "viewer"), "a")
    composition_id = await on.active()
    participants = await shown(on, composition_id)
    assert [each.participant_id for each in participants] == ["c", "a", "b"]
    sources = harness.manager._unit.registry.sessions[on.stage.arn].sources
    assert [each.source_id for each in participants] == [sources[each].source_id for each in ("c", "a", "b")]


async def test_a_composition_follows_who_comes_and_goes(on: ComposedStage) -> None:
    composition_id = await on.active()
    connection_id = await on.harness.publish(on.harness.claims(on.stage, "p"))
    assert [each.participant_id for each in await shown(on, composition_id)] == ["p"]
    on.harness.engine.lose(connection_id)
    assert await shown(on, composition_id) == ()


async def test_changes_at_once_are_shown_together(on: ComposedStage) -> None:
    composition_id = await on.active()
    before = len(on.harness.composer.shown[composition_id])
    for participant_id in ("a", "b", "c"):
        await on.harness.publish(on.harness.claims(on.stage, participant_id))
    await on.harness.settled()
    assert len(on.harness.composer.shown[composition_id]) - before <= 3
    assert len(await shown(on, composition_id)) == 3


async def test_a_viewer_changes_nothing(on: ComposedStage) -> None:
    await on.harness.publish(on.harness.claims(on.stage, "p"))
    composition_id = await on.active()
    await on.harness.settled()
    before = len(on.harness.composer.shown[composition_id])
    await on.harness.subscribe(on.harness.claims(on.stage, "viewer", Capability.SUBSCRIBE), "p")
    await on.harness.settled()
    assert len(on.harness.composer.shown[composition_id]) == before


async def test_mute_states_are_shown(on: ComposedStage) -> None:
    harness = on.harness
    claims = harness.claims(on.stage, "p")
    connection_id = await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await harness.publish(claims)
    composition_id = await on.active()
    harness.manager.participants.set_mute_state(connection_id=connection_id, audio_muted=True, video_stopped=True)
    (participant,) = await shown(on, composition_id)
    assert (participant.is_audio_muted, participant.is_video_stopped) == (True, True)


async def test_attributes_follow_a_token_exchange(on: ComposedStage) -> None:
    harness = on.harness
    own = await own_tokens(harness, on.stage)
    claims = own.claims("p", Capability.PUBLISH, user_id="before")
    connection_id = await harness.manager.participants.open_events(claims, watcher=Watcher(), client=CLIENT)
    await harness.publish(claims)
    composition_id = await on.active()
    assert [each.attributes for each in await shown(on, composition_id)] == [{"role": "before"}]
    changed = own.token(replace(claims, attributes={"role": "after"}))
    await harness.manager.participants.exchange_token(connection_id=connection_id, token=changed)
    assert [each.attributes for each in await shown(on, composition_id)] == [{"role": "after"}]


async def test_redundant_ingest_shows_the_virtual_participant_only(on: ComposedStage) -> None:
    harness = on.harness
    configuration = await harness.configuration(on.stage, redundant=True)
    composition_id = await on.active()
    for credential in configuration.redundant_credentials:
        await harness.publish_rtmp(credential.stream_key)
    (participant,) = await shown(on, composition_id)
    assert participant.participant_id == configuration.participant_id
    sources = harness.manager._unit.registry.sessions[on.stage.arn].sources
    assert participant.source_id == sources[configuration.participant_id].source_id


async def test_a_replica_is_shown_with_the_source_of_its_publisher(on: ComposedStage) -> None:
    harness = on.harness
    source = await harness.stage("source")
    await harness.publish(harness.claims(source, "p"))
    await harness.settled()
    await harness.manager.replications.start(
        source_stage_arn=source.arn,
        destination_stage_arn=on.stage.arn,
        participant_id="p",
        window_seconds=0,
        attributes={"role": "guest"},
    )
    composition_id = await on.active()
    (participant,) = await shown(on, composition_id)
    assert participant.source_id == harness.manager._unit.registry.sessions[source.arn].sources["p"].source_id
    assert participant.attributes == {"role": "guest"}


async def test_a_composition_makes_no_participant_events(on: ComposedStage) -> None:
    await on.harness.publish(on.harness.claims(on.stage, "p"))
    await on.active()
    assert await on.harness.events(on.stage, "p") == ["JOINED", "PUBLISH_STARTED"]
    session_id = on.harness.session_id(on.stage)
    page = on.harness.book.list_participants(on.stage.arn, session_id, where=ParticipantFilter(), after=None, limit=9)
    assert [each.participant_id for each in page.items] == ["p"]

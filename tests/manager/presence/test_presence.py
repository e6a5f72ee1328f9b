"""The snapshots that the watchers of a stage get."""

import asyncio

from stagebook.manager.presence.watchers import PresentParticipant
from stagebook.stage.events import Cause
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher
from tests.manager.replicated_pair import make_pair

DEADLINE_SECONDS = 30


async def shown(watcher: Watcher, *participants: tuple[str, bool]) -> None:
    """Wait until the newest snapshot shows exactly these participants and whether they publish."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if watcher.snapshots:
                newest = watcher.snapshots[-1].participants
                if [(p.participant_id, p.is_publishing) for p in newest] == list(participants):
                    return
            await asyncio.sleep(0.005)


async def test_a_watcher_is_shown_itself_and_everybody_that_joins_and_leaves(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    watcher = Watcher()
    await harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=watcher, client=CLIENT)
    await shown(watcher, ("W", False))

    publication = await harness.publish(harness.claims(stage, "P"))
    await shown(watcher, ("W", False), ("P", True))
    await harness.manager.participants.close(harness.claims(stage, "P"), connection_id=publication)

    await shown(watcher, ("W", False))


async def test_a_snapshot_has_user_ids_and_attributes(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    watcher = Watcher()

    await harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=watcher, client=CLIENT)
    await shown(watcher, ("W", False))

    assert watcher.snapshots[0].stage_id == stage.arn.rpartition("/")[2]
    assert watcher.snapshots[0].participants == (
        PresentParticipant(participant_id="W", user_id="user-W", attributes={}, is_publishing=False),
    )


async def test_all_watchers_get_the_same_snapshot_instance(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    first, second = Watcher(), Watcher()
    await harness.manager.participants.open_events(harness.claims(stage, "A"), watcher=first, client=CLIENT)
    await harness.manager.participants.open_events(harness.claims(stage, "B"), watcher=second, client=CLIENT)

    await shown(first, ("A", False), ("B", False))
    await shown(second, ("A", False), ("B", False))

    assert first.snapshots[-1] is second.snapshots[-1]


async def test_a_participant_leaves_when_its_websocket_closes(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    connection_id = await harness.manager.participants.open_events(
        harness.claims(stage, "W"), watcher=Watcher(), client=CLIENT
    )

    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.PEER_LOST)
    await harness.manager.participants.close_events(connection_id=connection_id, cause=Cause.CLIENT)

    assert await harness.events(stage, "W") == ["JOINED", "LEFT"]


async def test_a_watcher_is_not_shown_another_stage(harness: ManagerHarness) -> None:
    stage, other = await harness.stage(), await harness.stage()
    watcher = Watcher()
    await harness.manager.participants.open_events(harness.claims(stage, "W"), watcher=watcher, client=CLIENT)
    await shown(watcher, ("W", False))

    await harness.publish(harness.claims(other, "P"))
    await harness.publish(harness.claims(stage, "Q"))
    await shown(watcher, ("W", False), ("Q", True))

    assert all(p.participant_id != "P" for s in watcher.snapshots for p in s.participants)


async def test_a_replica_is_shown_publishing_while_its_publisher_does(harness: ManagerHarness) -> None:
    pair, watcher = await make_pair(harness), Watcher()
    await harness.manager.participants.open_events(
        harness.claims(pair.destination, "W"), watcher=watcher, client=CLIENT
    )

    await pair.start(window_seconds=30, role="guest")
    await shown(watcher, ("W", False), ("P", True))
    assert watcher.snapshots[-1].participants[1].attributes == {"role": "guest"}
    await pair.unpublish()
    await shown(watcher, ("W", False), ("P", False))
    await pair.publish_again()
    await shown(watcher, ("W", False), ("P", True))
    await pair.stop()

    await shown(watcher, ("W", False))


async def test_a_mute_state_is_shown_to_all_watchers_and_makes_no_event(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    everybody, publishers = Watcher(), Watcher(publishers_only=True)
    open_events = harness.manager.participants.open_events
    await open_events(harness.claims(stage, "W"), watcher=everybody, client=CLIENT)
    connection_id = await open_events(harness.claims(stage, "P"), watcher=publishers, client=CLIENT)
    await harness.publish(harness.claims(stage, "P"))
    await shown(publishers, ("P", True))
    events = await harness.events(stage, "P")

    set_mute_state = harness.manager.participants.set_mute_state
    set_mute_state(connection_id=connection_id, audio_muted=True, video_stopped=None)
    set_mute_state(connection_id="unknown", audio_muted=True, video_stopped=True)

    for watcher in (everybody, publishers):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not watcher.snapshots[-1].participants[-1].audio_muted:  # noqa: ASYNC110 - a watcher notifies nobody
                await asyncio.sleep(0.005)
        assert not watcher.snapshots[-1].participants[-1].video_stopped
    assert await harness.events(stage, "P") == events
    seen = len(everybody.snapshots), len(publishers.snapshots)
    set_mute_state(connection_id=connection_id, audio_muted=True, video_stopped=False)
    await harness.publish(harness.claims(stage, "Q"))
    await shown(publishers, ("P", True), ("Q", True))
    assert seen[1] + 1 == len(publishers.snapshots)


async def test_a_replica_disappears_when_its_source_stage_is_deleted(harness: ManagerHarness) -> None:
    pair, watcher = await make_pair(harness), Watcher()
    await harness.manager.participants.open_events(
        harness.claims(pair.destination, "W"), watcher=watcher, client=CLIENT
    )
    await pair.start()
    await shown(watcher, ("W", False), ("P", True))

    await harness.manager.stages.delete(stage_arn=pair.source.arn)

    await shown(watcher, ("W", False))

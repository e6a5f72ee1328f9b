"""What DisconnectParticipant and DeleteStage end, and which tokens they refuse afterwards."""

from pathlib import Path

import pytest

from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.errors import (
    TokenRefusal,
    TokenRefusedError,
)
from stagebook.stage.events import Cause
from tests.book.sample import open_book
from tests.manager.manager_harness import CLIENT, ManagerHarness, Watcher, running_manager


async def test_disconnecting_ends_all_connections_and_revokes_the_token(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    watcher = Watcher()
    claims = harness.claims(stage, "P")
    harness.tokens.mint(claims)
    await harness.manager.participants.open_events(claims, watcher=watcher, client=CLIENT)
    await harness.publish(claims)

    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="house rules")

    assert await harness.events(stage, "P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert watcher.farewells == [(FarewellReason.DISCONNECTED, "house rules")]
    with pytest.raises(TokenRefusedError) as refusal:
        harness.admit("P")
    assert refusal.value.refusal is TokenRefusal.PARTICIPANT_DISCONNECTED
    with pytest.raises(TokenRefusedError):
        await harness.publish(claims)
    assert len(await harness.events(stage, "P")) == 4


async def test_disconnecting_a_participant_that_never_joined_revokes_its_token(harness: ManagerHarness) -> None:
    stage = await harness.stage()
    harness.tokens.mint(harness.claims(stage, "P"))

    await harness.manager.stages.disconnect_participant(stage_arn=stage.arn, participant_id="P", reason="")

    with pytest.raises(TokenRefusedError):
        harness.admit("P")


async def test_deleting_a_stage_ends_everything_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "book"
    async with running_manager(path) as harness:
        stage = await harness.stage()
        watcher = Watcher()
        await harness.publish(harness.claims(stage, "P"))
        await harness.subscribe(harness.claims(stage, "V"), "P")
        await harness.manager.participants.open_events(harness.claims(stage, "V"), watcher=watcher, client=CLIENT)
        session_id = harness.session_id(stage)

        await harness.manager.stages.delete(stage_arn=stage.arn)

        assert harness.book.get_stage(stage.arn) is None
        assert watcher.farewells == [(FarewellReason.STAGE_DELETED, "")]
        assert harness.book.list_open_sessions() == []
    history = open_book(path, show_deleted_history=True)
    try:
        names = [e.event.name.value for e in history.list_events(stage.arn, session_id, "V")]
        causes = {e.event.cause for e in history.list_events(stage.arn, session_id, "V")[-2:]}
        assert names == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED", "LEFT"]
        assert causes == {Cause.STAGE_DELETED}
    finally:
        await history.close()

"""Quotas that are lowered for one participant, and durations that end at once."""

from pathlib import Path

import pytest

from stagebook.stage.errors import AttemptRefusedError
from stagebook.stage.events import ErrorCode
from tests.manager.manager_harness import CLIENT, Watcher, running_manager


async def test_media_quotas_are_what_the_stage_has(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await harness.stage()
        ann, bob = harness.claims(stage, "ann"), harness.claims(stage, "bob")
        await harness.publish(ann)
        with harness.manager.control.reached_quotas(stage.arn, "bob"):
            with pytest.raises(AttemptRefusedError, match="the stage has 1 publishers already"):
                await harness.publish(bob)
            with pytest.raises(AttemptRefusedError, match="the stage has 0 subscribers already"):
                await harness.subscribe(bob, "ann")
            await harness.publish(harness.claims(stage, "carl"))  # of others nothing changes
        await harness.publish(bob)
        assert await harness.events(stage, "bob") == [
            "PUBLISH_ERROR:QUOTA_EXCEEDED",
            "SUBSCRIBE_ERROR:QUOTA_EXCEEDED(ann)",
            "JOINED",
            "PUBLISH_STARTED",
        ]


async def test_the_quotas_of_joins_hold_on_and_off_the_stage(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await harness.stage()
        ann = harness.claims(stage, "ann")

        async def join() -> None:
            await harness.manager.participants.open_events(ann, watcher=Watcher(), client=CLIENT)

        for detail in ("the stage is full: 0 participants", "the participant has 1 connections already"):
            with (
                harness.manager.control.reached_quotas(stage.arn, "ann", of_joins=True),
                pytest.raises(AttemptRefusedError, match=detail) as caught,
            ):
                await join()
            assert caught.value.code is ErrorCode.QUOTA_EXCEEDED
            await join()
        assert (await harness.events(stage, "ann"))[:3] == [
            "JOIN_ERROR:QUOTA_EXCEEDED",
            "JOINED",
            "JOIN_ERROR:QUOTA_EXCEEDED",
        ]


async def test_lowered_quotas_of_two_participants_do_not_end_each_other(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage, control = await harness.stage(), harness.manager.control
        with control.reached_quotas(stage.arn, "ann"):
            with control.reached_quotas(stage.arn, "bob"):
                pass
            with pytest.raises(AttemptRefusedError):
                await harness.publish(harness.claims(stage, "ann"))
        assert harness.manager._unit.rules.lowered == {}


async def test_a_duration_ends_for_one_connection_only(tmp_path: Path) -> None:
    async with running_manager(tmp_path / "book") as harness:
        stage = await harness.stage()
        publication = await harness.publish(harness.claims(stage, "ann"))
        subscription = await harness.subscribe(harness.claims(stage, "bob"), "ann")
        assert harness.manager.control.elapse_duration(subscription)
        assert not harness.manager.control.elapse_duration(subscription)
        assert await harness.events(stage, "bob") == [
            "JOINED",
            "SUBSCRIBE_STARTED(ann)",
            "SUBSCRIBE_ERROR:STREAM_DURATION_EXCEEDED(ann)",
            "SUBSCRIBE_STOPPED(ann)",
            "LEFT",
        ]
        assert await harness.events(stage, "ann") == ["JOINED", "PUBLISH_STARTED"]
        assert harness.manager.control.elapse_duration(publication)
        assert not harness.manager.control.elapse_duration("unknown")

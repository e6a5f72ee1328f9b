"""A participant who returns within its reconnect window, and after it."""

import asyncio
from pathlib import Path

import pytest

from tests.clients.publisher import Publisher
from tests.e2e.recording.recorded_stage import RecordedStage, objects_below, segments_of
from tests.media.recording.hls_rules import check_recording

pytestmark = [pytest.mark.recording, pytest.mark.timeout(600)]
WINDOW_SECONDS = 5


async def test_a_return_within_the_window_continues_and_one_after_it_begins_anew(tmp_path: Path) -> None:
    stage = await asyncio.to_thread(RecordedStage, tmp_path)
    try:
        configuration = stage.ivs.get_stage(arn=stage.stage_arn)["stage"]["autoParticipantRecordingConfiguration"]
        configuration["recordingReconnectWindowSeconds"] = WINDOW_SECONDS
        stage.ivs.update_stage(arn=stage.stage_arn, autoParticipantRecordingConfiguration=configuration)
        token = stage.ivs.create_participant_token(stageArn=stage.stage_arn, userId="ann", capabilities=["PUBLISH"])

        async def publish(segments: int) -> str:
            """Publish until so many segments are stored. Returns the prefix of the recording."""
            publisher = Publisher(token["participantToken"]["token"])
            await publisher.start()
            (found,) = await stage.until_states("ACTIVE")
            prefix = str(found["recordingS3Prefix"])
            await stage.until(lambda: segments_of(stage.stored_folder / prefix) >= segments)
            await publisher.stop()
            return prefix

        first = await publish(1)
        stored = segments_of(stage.stored_folder / first)
        # Within the window: one recording, which stays active.
        assert await publish(stored + 2) == first
        await stage.until_states("STOPPED")
        merged = check_recording(objects_below(stage.stored_folder / first))
        assert sum(segment.is_discontinuity for segment in merged.segments) == 1
        # After it, another recording, below a prefix of its own.
        second = await publish(1)
        assert second != first
        # The stage was empty: the prefix names its new session, and the same stage and participant.
        sessions = stage.ivs.list_stage_sessions(stageArn=stage.stage_arn)["stageSessions"]
        before, after = first.split("/"), second.split("/")
        assert [after[0], after[2]] == [before[0], before[2]]
        assert [after[1], before[1]] == [each["sessionId"] for each in sessions]
        await stage.until_states("STOPPED")
        check_recording(objects_below(stage.stored_folder / second))
        assert check_recording(objects_below(stage.stored_folder / first)).duration_seconds == merged.duration_seconds
    finally:
        await asyncio.to_thread(stage.server.stop)

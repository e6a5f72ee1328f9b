"""Audio and video stay in sync. `long_sync` measures the same for longer."""

from tests.clients.timed_viewer import TimedViewer
from tests.e2e.ingest.ingest_handle import IngestHandle
from tests.e2e.ingest.long_sync import FLASH_AND_BEEP, MAX_OFFSET_SECONDS, measure


async def test_a_beep_arrives_with_its_flash(ingest: IngestHandle) -> None:
    await ingest.publish(variables=FLASH_AND_BEEP)
    _, token = await ingest.stage.token("SUBSCRIBE")
    viewer = TimedViewer(token, publisher_id=ingest.participant_id)
    try:
        offsets_seconds = await measure(viewer, count=8)
    finally:
        await viewer.stop()
    assert max(map(abs, offsets_seconds)) <= MAX_OFFSET_SECONDS, offsets_seconds

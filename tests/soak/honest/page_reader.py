"""An application that reads the book: pages of participants and of their events, with boto3."""

import random
import time
from collections.abc import Callable
from typing import Any

from tests.soak.soak_job import Recorder, SoakJob

PAGE_SIZE = 20
_PAUSE_SECONDS = 0.05


def keep_reading(job: SoakJob, recorder: Recorder) -> None:
    """Read pages until the end of the test. Runs in a thread of its own, because boto3 blocks."""
    ivs, choice = job.client(), random.Random(1)
    while not job.is_over:
        try:
            read_once(job, recorder, ivs, choice)
        except Exception as error:  # noqa: BLE001 - whatever it was, an honest client has failed
            recorder.outcomes[f"reader: {error!r}"[:200]] += 1
        time.sleep(_PAUSE_SECONDS)


def read_once(job: SoakJob, recorder: Recorder, ivs: Any, choice: random.Random) -> None:  # noqa: ANN401 - boto3
    """Read a page of participants of the newest session, and all pages of the events of one of them."""
    sessions = ivs.list_stage_sessions(stageArn=job.stage_arn)["stageSessions"]
    if not sessions:
        return
    where = {"stageArn": job.stage_arn, "sessionId": sessions[0]["sessionId"]}
    page = _timed(recorder, "ListParticipants", ivs.list_participants, **where, maxResults=PAGE_SIZE)
    if not page["participants"]:
        return
    participant_id = choice.choice(page["participants"])["participantId"]
    token: dict[str, str] = {}
    while True:
        events = _timed(
            recorder,
            "ListParticipantEvents",
            ivs.list_participant_events,
            **where,
            participantId=participant_id,
            maxResults=PAGE_SIZE,
            **token,
        )
        if "nextToken" not in events:
            return
        token = {"nextToken": events["nextToken"]}


def _timed(recorder: Recorder, operation: str, call: Callable[..., Any], **request: Any) -> Any:  # noqa: ANN401 - boto3
    started_at = time.monotonic()
    response = call(**request)
    recorder.took_since(operation, started_at)
    return response

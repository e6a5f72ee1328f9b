"""Reads the book after a soak test: every participant that joined must have left."""

from collections.abc import Iterator
from typing import Any

_PAGE_SIZE = 100


def participants_without_left(ivs: Any, stage_arn: str) -> tuple[int, list[str]]:  # noqa: ANN401 - a boto3 client
    """Return the number of JOINED events of a stage's sessions, and the participants with fewer LEFT events."""
    joined_count, without_left = 0, []
    for session in _pages(ivs.list_stage_sessions, "stageSessions", stageArn=stage_arn):
        where = {"stageArn": stage_arn, "sessionId": session["sessionId"]}
        for participant in _pages(ivs.list_participants, "participants", **where):
            participant_id = participant["participantId"]
            found = _pages(ivs.list_participant_events, "events", **where, participantId=participant_id)
            names = [event["name"] for event in found]
            joined_count += names.count("JOINED")
            if names.count("JOINED") != names.count("LEFT"):
                without_left.append(participant_id)
    return joined_count, without_left


def connected_count(ivs: Any, stage_arn: str) -> int:  # noqa: ANN401 - a boto3 client
    """Return the number of participants of the newest session that have not left."""
    sessions = ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"]
    if not sessions:
        return 0
    where = {"stageArn": stage_arn, "sessionId": sessions[0]["sessionId"]}
    return sum(1 for _ in _pages(ivs.list_participants, "participants", **where, filterByState="CONNECTED"))


def _pages(operation: Any, member: str, **request: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - boto3
    """Yield the items of all pages of a list operation."""
    token: dict[str, str] = {}
    while True:
        page = operation(**request, maxResults=_PAGE_SIZE, **token)
        yield from page[member]
        if "nextToken" not in page:
            return
        token = {"nextToken": page["nextToken"]}

"""The events of the demo as a table for people, straight from what boto3 returned."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = ("eventTime", "participant", "name", "remoteParticipantId", "errorCode")


def event_table(events: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a table of each participant's events in the order they were returned, keyed by who they are."""
    rows: list[Sequence[str]] = [HEADINGS]
    for person, listed in events.items():
        rows.extend(
            (
                event["eventTime"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
                f"{event['participantId']} ({person})",
                event["name"],
                event.get("remoteParticipantId", ""),
                event.get("errorCode", ""),
            )
            for event in listed
        )
    shown = [column for column in range(len(HEADINGS)) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in shown}
    lines = ["  ".join(row[column].ljust(widths[column]) for column in shown).rstrip() for row in rows]
    rule = "  ".join("-" * widths[column] for column in shown)
    return "\n".join([lines[0], rule, *lines[1:]])

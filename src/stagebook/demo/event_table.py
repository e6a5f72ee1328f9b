"""The events of the demo as a text table, from the responses of boto3."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = ("eventTime", "participant", "name", "remoteParticipantId", "errorCode")


def event_table(events: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a table of events, one row for each.

    `events` are the responses of ListParticipantEvents by a label for the participant. Columns without values are left
    out; the order of the events is kept.
    """
    rows: list[Sequence[str]] = [HEADINGS]
    for label, participant_events in events.items():
        rows.extend(
            (
                event["eventTime"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
                f"{event['participantId']} ({label})",
                event["name"],
                event.get("remoteParticipantId", ""),
                event.get("errorCode", ""),
            )
            for event in participant_events
        )
    shown = [column for column in range(len(HEADINGS)) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in shown}
    lines = ["  ".join(row[column].ljust(widths[column]) for column in shown).rstrip() for row in rows]
    rule = "  ".join("-" * widths[column] for column in shown)
    return "\n".join([lines[0], rule, *lines[1:]])

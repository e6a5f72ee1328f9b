"""The list of participants that a client has, from the messages of the events websocket: docs/participants.md."""

from typing import Any, TypeAlias

Participants: TypeAlias = dict[str, dict[str, Any]]


class MissedChangeError(Exception):
    """A change does not follow the list that the client has."""


class StageStateClient:
    """Applies STAGE_STATE and STAGE_STATE_CHANGE. `participants` is by participant id, in the order of the list."""

    def __init__(self) -> None:
        self.participants: Participants = {}
        self.sequence_number = 0

    def apply(self, message: dict[str, Any]) -> None:
        """Apply a message of one of the two types; raise MissedChangeError if a change was missed before."""
        payload = message["payload"]
        if message["type"] == "STAGE_STATE":
            self.participants = {participant["id"]: participant for participant in payload["participants"]}
        elif payload["baseSequenceNumber"] > self.sequence_number:
            raise MissedChangeError
        elif payload["sequenceNumber"] <= self.sequence_number:
            return
        else:
            self._change(payload)
        self.sequence_number = payload["sequenceNumber"]

    def _change(self, payload: dict[str, Any]) -> None:
        participants = dict(self.participants)
        for participant_id in payload["left"]:
            participants.pop(participant_id, None)
        for participant in payload["updated"]:
            participants[participant["id"]] = participant
        for participant in payload["joined"]:
            participants.pop(participant["id"], None)
            participants[participant["id"]] = participant
        self.participants = participants

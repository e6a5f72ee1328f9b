"""Helpers of the participant machine's tests: apply facts one after the other, and read the events."""

from collections.abc import Iterable

from stagebook.stage.events import Cause, Event
from stagebook.stage.participant.participant_facts import Accepted, Gone, ParticipantFact
from stagebook.stage.participant.participant_machine import IllegalFactError, step
from stagebook.stage.participant.participant_state import Participant


def apply_facts(*facts: ParticipantFact, participant: Participant | None = None) -> tuple[Participant, list[Event]]:
    """Apply legal facts; return the participant afterwards and all events."""
    participant = participant or Participant()
    events: list[Event] = []
    for fact in facts:
        made = step(participant, fact)
        participant = made.participant
        events.extend(made.events)
    return participant, events


def apply_legal_facts(
    facts: Iterable[ParticipantFact], *, participant: Participant | None = None
) -> tuple[Participant, list[Event]]:
    """Apply the facts that are legal in their turn and skip the others."""
    participant = participant or Participant()
    events: list[Event] = []
    for fact in facts:
        try:
            made = step(participant, fact)
        except IllegalFactError:
            continue
        participant = made.participant
        events.extend(made.events)
    return participant, events


def names(events: Iterable[Event]) -> list[str]:
    """The names of events."""
    return [event.name.value for event in events]


def watch(connection_id: str, publisher_id: str) -> Accepted:
    """A subscription to a publisher is accepted."""
    return Accepted(connection_id=connection_id, kind="subscribe", remote_participant_id=publisher_id)


def gone(*connection_ids: str, replications: tuple[str, ...] = ()) -> Gone:
    """Connections and replications end together."""
    return Gone(connection_ids=connection_ids, replication_ids=replications, cause=Cause.CLIENT)

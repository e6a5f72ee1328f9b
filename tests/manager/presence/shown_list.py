"""What a watcher knows after everything that it was shown: a list, kept up to date by changes."""

from stagebook.manager.presence.watchers import PresentParticipant, StageChange, StageSnapshot


class ShownList:
    """The participants by id, in the order of the list, and the sequence number of the list. 0 is no list."""

    def __init__(self) -> None:
        self.sequence_number = 0
        self.participants: dict[str, PresentParticipant] = {}

    @property
    def listed(self) -> tuple[PresentParticipant, ...]:
        return tuple(self.participants.values())

    def show(self, snapshot: StageSnapshot) -> None:
        """Replace the list."""
        assert snapshot.sequence_number >= self.sequence_number, "a list is older than the one before it"
        self.participants = {each.participant_id: each for each in snapshot.participants}
        self.sequence_number = snapshot.sequence_number

    def show_change(self, change: StageChange) -> None:
        """Apply a change, as `StageChange` says."""
        assert change.base_sequence_number <= self.sequence_number, "a gap"
        if change.sequence_number <= self.sequence_number:
            return
        for participant_id in change.left:
            self.participants.pop(participant_id, None)
        for participant in change.updated:
            assert participant.participant_id in self.participants, "an update of a participant that is not listed"
            self.participants[participant.participant_id] = participant
        for participant in change.joined:
            self.participants.pop(participant.participant_id, None)
            self.participants[participant.participant_id] = participant
        self.sequence_number = change.sequence_number

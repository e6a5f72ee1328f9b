"""The list of the participants on one stage as its watchers see it, and what has changed in it.

The list follows the session: the ids of the participants that a commit has changed are enough to bring it up to date,
so a change costs the same whatever the size of the stage. Each update that changes something gets a sequence number.

A change (`StageChange`) covers all updates since the change before, and contains each participant once. It applies to
the list of every sequence number in between, so a watcher can be shown a snapshot at any time and continue with the
next change. That holds because participants keep their places: one that appears is appended, and one that comes back
is appended again.
"""

from collections.abc import Iterable

import msgspec

from stagebook.manager.presence.watchers import PresentParticipant, StageChange, StageSnapshot
from stagebook.stage.participant.transitions import Presence
from stagebook.stage.session.session_state import Session, SessionParticipant, shown_mute

_encode = msgspec.json.Encoder().encode


class StageList:
    """The participants on a stage, in the order in which they appeared. A new list has them in order of arrival.

    With `publishers_only`, a participant appears when it starts to publish, and leaves when it stops. A virtual
    participant stands for its redundant streams. `size_bytes` is the size of the participants as JSON.
    """

    def __init__(self, session: Session, *, publishers_only: bool = False) -> None:
        self._publishers_only = publishers_only
        self.sequence_number = 0
        self.size_bytes = 0
        self._stage_id = session.stage_arn.rpartition("/")[2]
        self._shown: dict[str, PresentParticipant] = {}
        self._snapshot: StageSnapshot | None = None
        # Who has appeared since the last change and is still there, in the order of the list; the others by id.
        self._joined: dict[str, None] = {}
        self._updated: dict[str, None] = {}
        self._left: dict[str, None] = {}
        self._base_sequence_number = 0
        self.update(session, session.participants)
        self.sequence_number = 1
        self.forget_changes()

    @property
    def has_changes(self) -> bool:
        """Whether anything has changed since the last change was taken."""
        return bool(self._joined or self._updated or self._left)

    def update(self, session: Session, participant_ids: Iterable[str]) -> None:
        """Bring these participants up to date."""
        appeared: list[SessionParticipant] = []
        has_changed = False
        for participant_id in participant_ids:
            participant = session.participants.get(participant_id)
            before = self._shown.get(participant_id)
            if participant is None or not self._is_shown(participant):
                if before is not None:
                    self._remove(before)
                    has_changed = True
            elif before is None:
                appeared.append(participant)
            elif (now := _present(participant)) != before:
                self._replace(before, now)
                has_changed = True
        for participant in sorted(appeared, key=lambda each: each.arrival):
            self._append(_present(participant))
        if has_changed or appeared:
            self.sequence_number += 1
            self._snapshot = None

    def _is_shown(self, participant: SessionParticipant) -> bool:
        if participant.virtual_id is not None:
            return False
        machine = participant.machine
        return machine.is_publishing if self._publishers_only else machine.presence is Presence.PRESENT

    def _append(self, participant: PresentParticipant) -> None:
        self._shown[participant.participant_id] = participant
        self.size_bytes += len(_encode(participant))
        self._joined[participant.participant_id] = None
        self._left.pop(participant.participant_id, None)

    def _replace(self, before: PresentParticipant, now: PresentParticipant) -> None:
        self._shown[now.participant_id] = now
        self.size_bytes += len(_encode(now)) - len(_encode(before))
        if now.participant_id not in self._joined:
            self._updated[now.participant_id] = None

    def _remove(self, participant: PresentParticipant) -> None:
        del self._shown[participant.participant_id]
        self.size_bytes -= len(_encode(participant))
        self._joined.pop(participant.participant_id, None)
        self._updated.pop(participant.participant_id, None)
        # Also if it has appeared since the last change: a snapshot in between may have shown it.
        self._left[participant.participant_id] = None

    def snapshot(self) -> StageSnapshot:
        """Return the list. It is the same object until something changes."""
        if self._snapshot is None:
            self._snapshot = StageSnapshot(
                stage_id=self._stage_id,
                participants=tuple(self._shown.values()),
                sequence_number=self.sequence_number,
                size_bytes=self.size_bytes,
            )
        return self._snapshot

    def take_change(self) -> StageChange:
        """Return what has changed since the last change was taken."""
        joined = tuple(self._shown[participant_id] for participant_id in self._joined)
        updated = tuple(self._shown[participant_id] for participant_id in self._updated)
        change = StageChange(
            stage_id=self._stage_id,
            base_sequence_number=self._base_sequence_number,
            sequence_number=self.sequence_number,
            joined=joined,
            updated=updated,
            left=tuple(self._left),
            size_bytes=len(_encode((joined, updated, tuple(self._left)))),
        )
        self.forget_changes()
        return change

    def forget_changes(self) -> None:
        """Let the next change begin here."""
        self._joined, self._updated, self._left = {}, {}, {}
        self._base_sequence_number = self.sequence_number


def _present(participant: SessionParticipant) -> PresentParticipant:
    record, mute = participant.record, shown_mute(participant)
    return PresentParticipant(
        participant_id=record.participant_id,
        user_id=record.user_id,
        attributes=record.attributes,
        is_publishing=participant.machine.is_publishing,
        audio_muted=mute.audio_muted,
        video_stopped=mute.video_stopped,
    )

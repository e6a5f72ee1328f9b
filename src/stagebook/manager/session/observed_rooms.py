"""The rooms of an external LiveKit server, which are sessions of stages.

`ObservedRooms` is the port: what the manager reads of rooms, and asks them to do. `RoomRecords` writes what happened in
them. LiveKit has decided it, so the domain is not asked.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from stagebook.book.changes import Change, PutParticipant, PutStage
from stagebook.book.store import Durable
from stagebook.manager.session.session_registry import LiveSession, LiveTotals
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.resources import ParticipantState


class ObservedRooms(Protocol):
    """The open rooms, as sessions of the stages that show them."""

    def live_session(self, stage_arn: str) -> LiveSession | None:
        """Return the open session of a stage; None without one."""

    def totals(self) -> LiveTotals:
        """Return the totals over all rooms."""

    async def disconnect(self, stage_arn: str, participant_id: str) -> None:
        """Remove a participant from its room. Does nothing if it has left. Raises ServerBusyError."""


class RoomRecords:
    """Submits the changes of observed rooms. `note_created` is told the account of each stage that they create."""

    def __init__(self, unit: UnitOfWork, *, note_created: Callable[[str], None]) -> None:
        self._unit = unit
        self._note_created = note_created

    def record(self, changes: list[Change]) -> Durable:
        """Submit what happened in observed rooms as one transaction; return what to await until it is durable.

        Raises BookFailedError and ChangeRefusedError.
        """
        durable = self._unit.submit(changes)
        for change in changes:
            if isinstance(change, PutStage):
                self._note_created(change.stage.account_id)
        # Each join of a room is another participant: one that has left is not put again.
        left = [each for each in changes if isinstance(each, PutParticipant) and not _is_connected(each)]
        if left:
            durable.add_done_callback(lambda _done: self._forget(left))
        return durable

    def _forget(self, changes: Sequence[PutParticipant]) -> None:
        for change in changes:
            where = (change.stage_arn, change.session_id, change.participant.participant_id)
            self._unit.book.forget_participant(*where)


def _is_connected(change: PutParticipant) -> bool:
    return change.participant.state is ParticipantState.CONNECTED

"""What is live on the stages at this moment: the running sessions, and the open rooms of an observed LiveKit server."""

from collections.abc import Sequence

from stagebook.manager.session.observed_rooms import ObservedRooms
from stagebook.manager.session.session_registry import LiveConnection, LiveSession, LiveTotals, SessionRegistry
from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.port import MediaEngine, MediaRefusedError
from stagebook.stage.errors import ServerBusyError
from stagebook.stage.room_stages import is_room_stage


class LiveState:
    """Reads the registry, the media engine and the observed rooms. It changes nothing."""

    def __init__(self, *, registry: SessionRegistry, media: MediaEngine) -> None:
        self._registry = registry
        self._media = media
        self.rooms: ObservedRooms | None = None

    def totals(self) -> LiveTotals:
        """Return the numbers of sessions, participants, publishers and subscriptions that are live now."""
        totals = self._registry.totals()
        return totals if self.rooms is None else totals + self.rooms.totals()

    def session(self, stage_arn: str) -> LiveSession | None:
        """Return what is live on a stage now, None without an open session."""
        if self.rooms is not None and is_room_stage(stage_arn):
            return self.rooms.live_session(stage_arn)
        return self._registry.live_session(stage_arn)

    def connections(self, stage_arn: str, participant_id: str) -> tuple[LiveConnection, ...]:
        """Return the media connections of a participant that is on a stage now; empty if it is not."""
        return self._registry.live_connections(stage_arn, participant_id)

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        """Return what the media engine knows of the open ones of these connections.

        Raises ServerBusyError.
        """
        try:
            return await self._media.statistics(connection_ids)
        except MediaRefusedError as error:
            raise ServerBusyError(error.detail) from error

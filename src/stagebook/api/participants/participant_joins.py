"""Joining stages over websockets, and leaving them.

Each open websocket of a participant is one of its connections: the stage manager shows it the stage, and its end is
reported to the manager once. A join counts as an attempt of the participant, and the joins of one participant that are
open at the same time have a limit.
"""

from collections import Counter
from collections.abc import Callable

import msgspec

from stagebook.api.participants import stage_state_messages
from stagebook.api.participants.dialects import set_state_messages
from stagebook.api.participants.dialects.events_dialect import EventsDialect
from stagebook.api.participants.events_connection import EventsConnection
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.request_limits import AttemptRateLimiter, RequestLimits, too_many_requests
from stagebook.api.participants.websocket_transport import ConnectionClose
from stagebook.stage.claims import Claims
from stagebook.stage.events import Cause
from stagebook.stage.resources import ClientInfo


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant joins with, and how its client wants to be shown the stage; see EventsConnection.

    `is_sole` is that of the stage manager's `open_events`.
    """

    claims: Claims
    client: ClientInfo
    dialect: EventsDialect
    takes_changes: bool = False
    publishers_only: bool = False
    is_sole: bool = False


class StageJoin(msgspec.Struct, frozen=True, kw_only=True):
    """A participant that has joined a stage over a websocket. `connection_id` is its id in the stage manager."""

    request: JoinRequest
    connection_id: str
    connection: EventsConnection

    @property
    def participant(self) -> tuple[str, str]:
        """The ARN of the stage and the participant id."""
        return self.request.claims.stage_arn, self.request.claims.participant_id


class ParticipantJoins:
    """The joins of all participants of one stage manager."""

    def __init__(self, manager: ParticipantManager, *, limits: RequestLimits, attempts: AttemptRateLimiter) -> None:
        self._manager = manager
        self._limits = limits
        self._attempts = attempts
        self._open_by_participant: Counter[tuple[str, str]] = Counter()
        self._encoders = stage_state_messages.StageStateEncoders()

    async def join(
        self, request: JoinRequest, *, wake: Callable[[], None], end: Callable[[ConnectionClose], None]
    ) -> StageJoin:
        """Join a stage. `wake` and `end` are those of EventsConnection. The caller must call `leave`.

        Raises RequestRefusedError 429, and what the stage manager's `open_events` raises.
        """
        claims = request.claims
        self._attempts.require(claims)
        participant = (claims.stage_arn, claims.participant_id)
        if self._open_by_participant[participant] >= self._limits.events_connections_per_participant:
            raise too_many_requests("too many events websockets with this token")
        # Counted before the first await, so that concurrent handshakes are limited as well.
        self._open_by_participant[participant] += 1
        stage_id = claims.stage_arn.rpartition("/")[2]
        connection = EventsConnection(
            dialect=request.dialect,
            encoder=self._encoders.of_list(stage_id, publishers_only=request.publishers_only),
            wake=wake,
            end=end,
            takes_changes=request.takes_changes,
            publishers_only=request.publishers_only,
        )
        try:
            connection_id = await self._manager.open_events(
                claims, watcher=connection, client=request.client, is_sole=request.is_sole
            )
        except BaseException:
            self._uncount(participant)
            raise
        connection.actions = _JoinedActions(self._manager, self._attempts, request, connection_id)
        return StageJoin(request=request, connection_id=connection_id, connection=connection)

    async def leave(self, join: StageJoin, cause: Cause | None) -> None:
        """Leave a stage. `cause` is reported to the stage manager; None if it ended the connection itself."""
        self.forget(join)
        if cause is not None:
            await self._manager.close_events(connection_id=join.connection_id, cause=cause)

    def forget(self, join: StageJoin) -> None:
        """Note the end of a join that the stage manager has recorded itself."""
        self._uncount(join.participant)

    def _uncount(self, participant: tuple[str, str]) -> None:
        self._open_by_participant[participant] -= 1
        if not self._open_by_participant[participant]:
            del self._open_by_participant[participant]


class _JoinedActions:
    """What a participant that has joined can do. Implements ConnectionActions."""

    __slots__ = ("_attempts", "_connection_id", "_manager", "_request")

    def __init__(
        self, manager: ParticipantManager, attempts: AttemptRateLimiter, request: JoinRequest, connection_id: str
    ) -> None:
        self._manager = manager
        self._attempts = attempts
        self._request = request
        self._connection_id = connection_id

    async def answer_exchange(self, message: str) -> str:
        return await self._request.dialect.answer_exchange(message, self._exchange)

    async def _exchange(self, token: str) -> Claims:
        """Exchange a token. It counts as an attempt, because a successful exchange writes an event."""
        self._attempts.require(self._request.claims)
        return await self._manager.exchange_token(connection_id=self._connection_id, token=token)

    def set_state(self, message: str) -> None:
        """Act on a SET_STATE message. A malformed one is ignored."""
        said = set_state_messages.parse_set_state(message)
        if said is not None:
            self._manager.set_mute_state(
                connection_id=self._connection_id, audio_muted=said.audio_muted, video_stopped=said.video_stopped
            )

    def ask_for_state(self) -> None:
        self._manager.show_again(connection_id=self._connection_id)

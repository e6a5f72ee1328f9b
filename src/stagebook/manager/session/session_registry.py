"""The running sessions in memory, and the indexes that lead to them.

Sessions are immutable values (`stage/session`), and a commit replaces them. The quotas of an account need totals over
all of its stages. Each replacement updates them, as summing over all sessions would cost more than a decision.
"""

from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from stagebook.stage.errors import StagebookError
from stagebook.stage.participant.transitions import ConnectionKind, ConnectionState
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.session.session_state import NO_USAGE, Session, Usage

MEDIA_KINDS = (ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE)
"""The kinds of connection that a participant can patch and close by their id."""
_UNOPENED, _ENDED = SessionPhase.UNOPENED, SessionPhase.ENDED
ENDED_ROUTES = 2_048
"""Ended connections that are remembered: about half a megabyte, and some seconds of a busy server."""


class Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The participant that a connection or attempt belongs to."""

    stage_arn: str
    participant_id: str
    kind: ConnectionKind
    connection_token_id: str | None = None


class LiveTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What is live on all stages of all accounts, as the quotas count it: attempts in progress are included."""

    sessions: int
    participants: int
    publishers: int
    subscriptions: int

    def __add__(self, other: "LiveTotals") -> "LiveTotals":
        """Return the sums of both."""
        return LiveTotals(
            sessions=self.sessions + other.sessions,
            participants=self.participants + other.participants,
            publishers=self.publishers + other.publishers,
            subscriptions=self.subscriptions + other.subscriptions,
        )


class LiveSession(msgspec.Struct, frozen=True, kw_only=True):
    """An open session and what is live in it, as the quotas count it: attempts in progress are included."""

    session_id: str
    start_ms: int
    participants: int
    publishers: int
    subscriptions: int


class LiveConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A media connection of a participant that is on a stage."""

    connection_id: str
    kind: ConnectionKind
    is_flowing: bool
    """Whether its transport is up."""
    remote_participant_id: str | None
    """The publisher that a SUBSCRIBE connection watches."""


class SessionRegistry:
    """The running sessions by stage ARN, and the routes by connection id.

    `cancelled` holds the errors of attempts that were cancelled while an engine answers them, by connection id. `ended`
    holds the last ENDED_ROUTES media connections that ended, the oldest first: a client that ends a connection can be
    late.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.routes: dict[str, Route] = {}
        self.cancelled: dict[str, StagebookError] = {}
        self.ended: OrderedDict[str, Route] = OrderedDict()
        self._by_token: dict[str, set[str]] = {}
        """The connection ids of the routes that came with a connection token, by its id."""
        self._accounts: dict[str, tuple[int, int]] = {}
        self._present = 0
        """The participants that are on a stage."""

    def totals(self) -> LiveTotals:
        """Return the totals over all accounts. The work depends on the number of accounts alone."""
        return LiveTotals(
            sessions=len(self.sessions),
            participants=self._present,
            publishers=sum(publishers for publishers, _ in self._accounts.values()),
            subscriptions=sum(subscribers for _, subscribers in self._accounts.values()),
        )

    def live_session(self, stage_arn: str) -> LiveSession | None:
        """Return what is live on a stage, None if it has no session or nothing of it is recorded yet."""
        session = self.sessions.get(stage_arn)
        if session is None or session.phase is _UNOPENED:
            return None
        return LiveSession(
            session_id=session.session_id,
            start_ms=session.start_ms,
            participants=session.usage.present,
            publishers=session.usage.publishers,
            subscriptions=session.usage.subscribers,
        )

    def live_connections(self, stage_arn: str, participant_id: str) -> tuple[LiveConnection, ...]:
        """Return the media connections of a participant. Empty if it is not on the stage."""
        session = self.sessions.get(stage_arn)
        participant = None if session is None else session.participants.get(participant_id)
        if participant is None:
            return ()
        return tuple(
            LiveConnection(
                connection_id=connection_id,
                kind=connection.kind,
                is_flowing=connection.state is ConnectionState.FLOWING,
                remote_participant_id=connection.remote_participant_id,
            )
            for connection_id, connection in participant.machine.connections.items()
            if connection.kind in MEDIA_KINDS
        )

    def account_usage(self, account_id: str) -> tuple[int, int]:
        """Return how many publishers and how many subscriptions an account has on all of its stages."""
        return self._accounts.get(account_id, (0, 0))

    def open_route(self, connection_id: str, route: Route) -> None:
        """Add the route of a connection or attempt, or replace it."""
        self.routes[connection_id] = route
        if route.connection_token_id is not None:
            self._by_token.setdefault(route.connection_token_id, set()).add(connection_id)

    def close_route(self, connection_id: str) -> None:
        """Forget the route of a connection or attempt, and remember it as ended if it was one of media."""
        route = self.routes.pop(connection_id, None)
        if route is not None and route.connection_token_id is not None:
            self._forget_token(route.connection_token_id, connection_id)
        if route is not None and route.kind in MEDIA_KINDS:
            self.ended[connection_id] = route
            if len(self.ended) > ENDED_ROUTES:
                self.ended.popitem(last=False)

    def install(self, session: Session) -> None:
        """Replace the running session of a stage, and update the totals of its account.

        A session that has ended is removed, and so is an UNOPENED one without participants: its only attempt failed
        without an event, so nothing of it is recorded.
        """
        former = self.sessions.get(session.stage_arn)
        before = NO_USAGE if former is None else former.usage
        after = session.usage
        phase = session.phase
        if phase is _ENDED or (phase is _UNOPENED and not len(session.participants)):
            self.sessions.pop(session.stage_arn, None)
            after = NO_USAGE
        else:
            self.sessions[session.stage_arn] = session
        if before is not after:
            self._count(session.account_id, before, after)

    def _count(self, account_id: str, before: Usage, after: Usage) -> None:
        """Update the totals of an account. An account without publishers and subscriptions is not kept."""
        self._present += after.present - before.present
        publishers, subscribers = self.account_usage(account_id)
        publishers += after.publishers - before.publishers
        subscribers += after.subscribers - before.subscribers
        if publishers or subscribers:
            self._accounts[account_id] = (publishers, subscribers)
        else:
            self._accounts.pop(account_id, None)

    def connected_through(self, account_id: str, connection_token_id: str) -> Iterator[Route]:
        """Yield the routes of connections and attempts that came with a connection token of an account.

        They come in the order of their connection ids, so that equal inputs give equal decisions. The account is
        compared because `jti`s of connection tokens are chosen by the applications and unique within an account only.
        """
        for connection_id in sorted(self._by_token.get(connection_token_id, ())):
            route = self.routes[connection_id]
            session = self.sessions.get(route.stage_arn)
            if session is not None and session.account_id == account_id:
                yield route

    def _forget_token(self, connection_token_id: str, connection_id: str) -> None:
        connection_ids = self._by_token[connection_token_id]
        connection_ids.discard(connection_id)
        if not connection_ids:
            del self._by_token[connection_token_id]

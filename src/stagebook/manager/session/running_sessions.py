"""Who is on which stage right now, in memory. The book holds the truth that lasts; this is what the truth is made from.

Owns the index from connection to participant, from publisher to viewers, and the count of what an account uses. Knows
no book, no engine and no wire.
"""

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from stagebook.manager.presence.watchers import PresentParticipant, StageSnapshot
from stagebook.stage.claims import Claims
from stagebook.stage.participant import PUBLISHING_KINDS, ConnectionKind, Participant, Presence
from stagebook.stage.replication import Replication
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, ReplicationType
from stagebook.stage.session import Session
from stagebook.stage.source_limits import SourceWatch

NOBODY = Participant()
UNWATCHED = SourceWatch()
REMEMBERED_CLAIMS = 16
"""How many of the tokens that a participant has exchanged away still tell who it is."""


@dataclass(slots=True, kw_only=True)
class LiveParticipant:
    """One participant of a running session: its rights, its row in the book, and its connections.

    `claims` are those of the token it has, `former_claims` of those that it has exchanged away while on the stage.
    `unsettled` counts its transactions that are not durable yet: until then its row must not be read from the book.
    """

    claims: Claims
    record: ParticipantRecord
    machine: Participant = NOBODY
    source_watch: SourceWatch = UNWATCHED
    unsettled: int = 0
    former_claims: tuple[Claims, ...] = ()

    def arrive(self, claims: Claims) -> None:
        """Take the token of somebody who is not on the stage yet, or what it has in place of one; its row follows it.

        Who was there as a replica before is a participant of its own right now.
        """
        self.claims = claims
        self.former_claims = ()
        self.source_watch = UNWATCHED
        self.record = _row_of(self.record, claims)
        if self.record.replication_type is ReplicationType.REPLICA:
            self.machine = NOBODY
            self.record = replace(
                self.record,
                replication_type=ReplicationType.NONE,
                replication_state=None,
                source_stage_arn=None,
                source_session_id=None,
            )

    def exchange(self, claims: Claims) -> None:
        """Take another token in place of the present one."""
        self.former_claims = (*self.former_claims, self.claims)[-REMEMBERED_CLAIMS:]
        self.claims = claims

    @property
    def protocol(self) -> ParticipantProtocol:
        """How it publishes. A replica publishes as its source does: so its row says already."""
        if self.machine.is_replica:
            return self.record.protocol
        return ParticipantProtocol.WHIP if self.claims.ingest is None else self.claims.ingest.protocol

    @property
    def virtual_id(self) -> str | None:
        """The virtual participant that shows it, if it is a redundant stream: nobody sees it itself."""
        return None if self.claims.ingest is None else self.claims.ingest.feeds


def _row_of(record: ParticipantRecord, claims: Claims) -> ParticipantRecord:
    ingest = claims.ingest
    after = replace(
        record,
        user_id=claims.user_id,
        attributes=claims.attributes,
        ingest_configuration_arn=None if ingest is None else ingest.configuration_arn,
        redundant_ingest=ingest is not None and ingest.is_redundant,
    )
    return record if after == record else after


@dataclass(slots=True, kw_only=True)
class SourceLease:
    """The source that a participant publishes under. It outlives a connection that another one replaces.

    `offers` counts offers on their way through the engine, `streams` are the connections of the redundant streams that
    feed it; the slot is kept while there are any of either.
    """

    source_id: str
    offers: int = 0
    streams: set[str] = field(default_factory=set)

    @property
    def is_awaited(self) -> bool:
        """Whether something uses it, or is about to, that is not the participant's publication."""
        return bool(self.offers or self.streams)


@dataclass(slots=True, kw_only=True)
class LiveSession:
    """A running session of one stage. `viewers` maps a publisher to the connections that watch it and their owners.

    `has_forgotten` tells whether the book knows participants of it that memory does not hold any more.
    """

    stage_arn: str
    account_id: str
    session_id: str
    session: Session = field(default_factory=Session)
    participants: dict[str, LiveParticipant] = field(default_factory=dict)
    viewers: dict[str, dict[str, str]] = field(default_factory=dict)
    has_forgotten: bool = False
    publishers: int = 0
    subscribers: int = 0

    def has_replica(self, participant_id: str) -> bool:
        """Whether a participant who is present is a replica."""
        live = self.participants.get(participant_id)
        return live is not None and live.machine.replica_id is not None

    @property
    def stage_id(self) -> str:
        """The last part of the stage's ARN."""
        return self.stage_arn.rpartition("/")[2]

    def snapshot(self) -> StageSnapshot:
        """Return everybody who is present, in order of arrival, and the virtual participants for their streams."""
        present = (
            PresentParticipant(
                participant_id=participant_id,
                user_id=live.record.user_id,
                attributes=live.record.attributes,
                is_publishing=live.machine.is_publishing,
            )
            for participant_id, live in self.participants.items()
            if live.machine.presence is Presence.PRESENT and live.virtual_id is None
        )
        return StageSnapshot(stage_id=self.stage_id, participants=tuple(present))


@dataclass(slots=True, kw_only=True)
class LiveReplication:
    """A running replication: whose, from where to where. Its id is also that of the replica's connection."""

    replication_id: str
    participant_id: str
    source: LiveSession
    destination: LiveSession
    state: Replication


class Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose connection an id is."""

    session: LiveSession
    participant_id: str
    kind: ConnectionKind
    connection_token_id: str | None = None


class RunningSessions:
    """Every running session, the way from a connection id to its participant, the source slots by stage ARN and
    participant id, and the running replications by id."""

    def __init__(self) -> None:
        self.sessions: dict[str, LiveSession] = {}
        self.routes: dict[str, Route] = {}
        self.slots: dict[tuple[str, str], SourceLease] = {}
        self.replications: dict[str, LiveReplication] = {}
        self.publishers_by_account: Counter[str] = Counter()
        self.subscriptions_by_account: Counter[str] = Counter()

    def source_id(self, stage_arn: str, publisher_id: str) -> str | None:
        """Return the source that shows a publisher of a stage, or None. A replica is shown by its publisher's own."""
        session = self.sessions.get(stage_arn)
        live = session.participants.get(publisher_id) if session else None
        if live is None:
            return None
        replica_id = live.machine.replica_id
        if replica_id is not None:
            return self.source_id(self.replications[replica_id].source.stage_arn, publisher_id)
        if live.machine.publication_id is None:
            return None
        return self.slots[stage_arn, publisher_id].source_id

    def is_fed(self, slot: SourceLease) -> bool:
        """Return whether media of one of the redundant streams of a slot flows."""
        routes = (self.routes[connection_id] for connection_id in slot.streams)
        return any(route.session.participants[route.participant_id].machine.is_publishing for route in routes)

    def add_route(self, connection_id: str, route: Route, *, remote_participant_id: str | None = None) -> None:
        """Remember a connection that was accepted; a SUBSCRIBE names the publisher it watches."""
        self.routes[connection_id] = route
        session = route.session
        if route.kind in PUBLISHING_KINDS:
            session.publishers += 1
            self.publishers_by_account[session.account_id] += 1
        elif remote_participant_id is not None:
            session.subscribers += 1
            self.subscriptions_by_account[session.account_id] += 1
            session.viewers.setdefault(remote_participant_id, {})[connection_id] = route.participant_id

    def drop_route(self, connection_id: str, *, remote_participant_id: str | None = None) -> None:
        """Forget a connection that ended."""
        route = self.routes.pop(connection_id, None)
        if route is None:
            return
        session = route.session
        if route.kind in PUBLISHING_KINDS:
            session.publishers -= 1
            self.publishers_by_account[session.account_id] -= 1
        elif remote_participant_id is not None:
            session.subscribers -= 1
            self.subscriptions_by_account[session.account_id] -= 1
            watching = session.viewers.get(remote_participant_id)
            if watching is not None:
                watching.pop(connection_id, None)
                if not watching:
                    del session.viewers[remote_participant_id]

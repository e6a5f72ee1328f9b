"""Drives `decide` for the tests of `stage/session`: a running session, short constructors of facts, and their names.

The clock stands still until a test moves it. After each fact, the helper checks that the session it was decided from
has not changed.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from stagebook.stage.claims import Claims, IngestOrigin
from stagebook.stage.clock import Instant
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED, Limits
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.resources import (
    Capability,
    ClientInfo,
    ParticipantProtocol,
    ParticipantRecord,
    Replica,
    ReplicationState,
)
from stagebook.stage.session.decide import decide
from stagebook.stage.session.decision import Context, Decision
from stagebook.stage.session.orders import Order, ParticipantEvent
from stagebook.stage.session.session_facts import (
    AttemptAnswered,
    ConnectionEnded,
    EncoderRequested,
    EventsRequested,
    PublishRequested,
    ReplicaArrived,
    ReplicationRequested,
    SessionFact,
    SubscribeRequested,
    TransportConnected,
)
from stagebook.stage.session.session_state import Session, SessionParticipant

ACCOUNT = "123456789012"
STAGE = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/here"
OTHER_STAGE = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/there"
SESSION, OTHER_SESSION = "st-here", "st-there"
CONFIGURATION = f"arn:aws:ivs:us-west-2:{ACCOUNT}:ingest-configuration/one"
CLIENT = ClientInfo(browser_name="Chromium")
LINGER_MS = 1_000
START = Instant(wall_ms=1_700_000_000_000, monotonic_ms=50_000)
PUBLISHED = ["JOINED", "PUBLISH_STARTED"]

OrderType = TypeVar("OrderType", bound=Order)


def claims(participant_id: str, *capabilities: Capability, **changes: object) -> Claims:
    """The claims of a token that the server minted; without capabilities it has both."""
    made = Claims(
        participant_id=participant_id,
        stage_arn=STAGE,
        capabilities=frozenset(capabilities or Capability),
        user_id=f"user-{participant_id}",
        expires_at_seconds=1_700_003_600,
    )
    return msgspec.structs.replace(made, **changes)


def stream_claims(participant_id: str, *, feeds: str | None = None) -> Claims:
    """The claims of an encoder; `feeds` is the virtual participant that shows a redundant stream."""
    return claims(
        participant_id,
        Capability.PUBLISH,
        ingest=IngestOrigin(
            configuration_arn=CONFIGURATION,
            protocol=ParticipantProtocol.RTMPS,
            is_redundant=feeds is not None,
            feeds=feeds,
        ),
    )


def publish(
    participant_id: str, connection_id: str, *, known: ParticipantRecord | None = None, **changes: object
) -> PublishRequested:
    """An offer to publish; `changes` are of its claims."""
    return PublishRequested(
        connection_id=connection_id,
        source_id=f"source-{connection_id}",
        claims=claims(participant_id, **changes),
        client=CLIENT,
        known=known,
    )


def subscribe(
    participant_id: str,
    connection_id: str,
    publisher_id: str,
    *,
    known: ParticipantRecord | None = None,
    **changes: object,
) -> SubscribeRequested:
    """An offer to watch a publisher; `changes` are of its claims."""
    return SubscribeRequested(
        connection_id=connection_id,
        publisher_id=publisher_id,
        claims=claims(participant_id, **changes),
        client=CLIENT,
        known=known,
    )


def events(
    participant_id: str, connection_id: str, *, known: ParticipantRecord | None = None, **changes: object
) -> EventsRequested:
    """An events websocket opens; `changes` are of its claims."""
    return EventsRequested(
        connection_id=connection_id, claims=claims(participant_id, **changes), client=CLIENT, known=known
    )


def encode(participant_id: str, connection_id: str, *, feeds: str | None = None) -> EncoderRequested:
    """An encoder asks to be admitted. With `feeds` it is a redundant stream of that virtual participant."""
    return EncoderRequested(
        connection_id=connection_id,
        source_id=f"source-{connection_id}",
        publisher_id=feeds or participant_id,
        claims=stream_claims(participant_id, feeds=feeds),
        client=CLIENT,
    )


def answered(participant_id: str, connection_id: str) -> AttemptAnswered:
    """The engine answers an offer."""
    return AttemptAnswered(participant_id=participant_id, connection_id=connection_id)


def connected(participant_id: str, connection_id: str) -> TransportConnected:
    """The engine reports that the media of a connection flows."""
    return TransportConnected(participant_id=participant_id, connection_id=connection_id)


def ended(participant_id: str, connection_id: str, cause: Cause = Cause.CLIENT) -> ConnectionEnded:
    """A connection ends by itself."""
    return ConnectionEnded(participant_id=participant_id, connection_id=connection_id, cause=cause)


def replicate(participant_id: str, replication_id: str = "r", *, window_seconds: int = 0) -> ReplicationRequested:
    """The API asks to replicate a publisher to the other stage."""
    return ReplicationRequested(
        participant_id=participant_id,
        replication_id=replication_id,
        destination_stage_arn=OTHER_STAGE,
        destination_session_id=OTHER_SESSION,
        window_seconds=window_seconds,
        attributes={},
    )


def replica_arrives(
    participant_id: str = "R", replication_id: str = "r", *, known: ParticipantRecord | None = None
) -> ReplicaArrived:
    """A publisher of the other stage is replicated to this one."""
    return ReplicaArrived(
        replication_id=replication_id,
        claims=Claims(
            participant_id=participant_id,
            stage_arn=STAGE,
            capabilities=frozenset(),
            user_id="remote",
            expires_at_seconds=1_700_003_600,
        ),
        record=ParticipantRecord(participant_id=participant_id, user_id="remote", protocol=ParticipantProtocol.WHIP),
        replica=Replica(
            source_stage_arn=OTHER_STAGE,
            source_session_id=OTHER_SESSION,
            participant_id=participant_id,
            destination_stage_arn=STAGE,
            destination_session_id=SESSION,
            state=ReplicationState.ACTIVE,
        ),
        source_id="remote-source",
        known=known,
    )


def event_names(entries: Iterable[ParticipantEvent]) -> list[str]:
    """Events as `participant NAME` or `participant NAME:CODE`, in order."""
    return [
        f"{entry.participant_id} {entry.event.name.value}"
        + (f":{entry.event.error_code.value}" if entry.event.error_code else "")
        for entry in entries
    ]


class DecidedSession:
    """A session to which facts are applied. `all_events` are the events so far."""

    def __init__(self, *, limits: Limits = RELAXED, linger_ms: int = LINGER_MS) -> None:
        self.session = Session(stage_arn=STAGE, account_id=ACCOUNT, session_id=SESSION)
        self.limits = limits
        self.linger_ms = linger_ms
        self.at = START
        self.account_publishers = 0
        self.account_subscribers = 0
        self.all_events: list[ParticipantEvent] = []

    @property
    def context(self) -> Context:
        return Context(
            at=self.at,
            limits=self.limits,
            linger_ms=self.linger_ms,
            account_publishers=self.account_publishers,
            account_subscribers=self.account_subscribers,
        )

    def advance(self, duration_ms: int) -> None:
        """Let time pass on both clocks."""
        self.at = Instant(wall_ms=self.at.wall_ms + duration_ms, monotonic_ms=self.at.monotonic_ms + duration_ms)

    def apply(self, fact: SessionFact) -> Decision:
        """Decide a fact and continue with the next session."""
        before, kept = self.session, repr(self.session)
        decision = decide(before, fact, self.context)
        assert repr(before) == kept
        self.session = decision.session
        self.all_events += decision.events
        return decision

    def answer(self, participant_id: str, connection_id: str) -> Decision:
        """The engine answers an offer."""
        return self.apply(AttemptAnswered(participant_id=participant_id, connection_id=connection_id))

    def open_events(self, participant_id: str, connection_id: str = "", **changes: object) -> Decision:
        """Open an events websocket. Its connection id is `ws-<participant>` by default. `changes` are of its claims."""
        fact = events(participant_id, connection_id or f"ws-{participant_id}")
        return self.apply(msgspec.structs.replace(fact, claims=claims(participant_id, **changes)))

    def publish(self, participant_id: str, connection_id: str = "", *, connect: bool = True) -> Decision:
        """Let an offer to publish be requested, answered and connected. Its id is `pub-<participant>` by default."""
        connection_id = connection_id or f"pub-{participant_id}"
        self.apply(publish(participant_id, connection_id))
        decision = self.answer(participant_id, connection_id)
        return self.apply(connected(participant_id, connection_id)) if connect else decision

    def subscribe(
        self, participant_id: str, publisher_id: str, connection_id: str = "", *, connect: bool = True
    ) -> Decision:
        """Let an offer to watch be requested, answered and connected. Its id is `sub-<participant>` by default."""
        connection_id = connection_id or f"sub-{participant_id}"
        self.apply(subscribe(participant_id, connection_id, publisher_id))
        decision = self.answer(participant_id, connection_id)
        return self.apply(connected(participant_id, connection_id)) if connect else decision

    def encode(self, participant_id: str, *, feeds: str | None = None, connect: bool = True) -> Decision:
        """Let an encoder be admitted and its media flow. Its connection id is `enc-<participant>`."""
        decision = self.apply(encode(participant_id, f"enc-{participant_id}", feeds=feeds))
        return self.apply(connected(participant_id, f"enc-{participant_id}")) if connect else decision

    def participant(self, participant_id: str) -> SessionParticipant:
        """A participant that the session holds."""
        found = self.session.participants.get(participant_id)
        assert found is not None
        return found

    def machine(self, participant_id: str) -> Participant:
        """The connections of a participant; none for one that the session does not hold."""
        found = self.session.participants.get(participant_id)
        return Participant() if found is None else found.machine

    def names(self, participant_id: str) -> list[str]:
        """The names of all events of one participant."""
        return [entry.event.name.value for entry in self.all_events if entry.participant_id == participant_id]


def orders_of(decision: Decision, kind: type[OrderType]) -> list[OrderType]:
    """The orders of one type, in order."""
    return [order for order in decision.orders if isinstance(order, kind)]


def changes_nothing(session: DecidedSession, fact: SessionFact) -> bool:
    """Apply a fact; return whether the session is the same afterwards, without events, orders and a refusal."""
    before = session.session
    decision = session.apply(fact)
    return decision.session == before and decision.events == () and decision.orders == () and decision.refusal is None

"""The state of one stage session: an immutable value that `decide` maps to the next one.

The large mappings are persistent (`persistent_map.py`): a change takes a constant time, whatever the number of
participants, and the former value stays valid. The unit of work relies on that: it discards the new value when the book
refuses the transaction.

The counters are derived from the participants. They are kept so that a quota check costs one comparison.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from stagebook.stage.claims import Claims
from stagebook.stage.clock import Instant
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, Replica
from stagebook.stage.session.persistent_map import PersistentMap
from stagebook.stage.session.replication_phase import Replication
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.source_limits import SourceWatch

_SUBSCRIBE, _EVENTS = ConnectionKind.SUBSCRIBE, ConnectionKind.EVENTS

NO_CONNECTIONS = Participant()
UNWATCHED = SourceWatch()
NO_VIEWERS: PersistentMap[str, str] = PersistentMap()


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant's offer that a media engine is answering. It already counts in the quotas.

    `publisher_id` is the publisher that a subscriber wants to watch. `is_lost`: the engine reported the connection as
    closed before it answered.
    """

    kind: ConnectionKind
    source_id: str
    claims: Claims
    publisher_id: str | None = None
    is_lost: bool = False


class MuteState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a participant says about the media that it publishes, for the other participants."""

    audio_muted: bool = False
    video_stopped: bool = False


UNMUTED = MuteState()


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one participant, or all of a session, counts in the quotas.

    `arriving` are participants that are not on the stage and have an attempt in progress. `awaited` are publishers that
    have left while a replication waits for them.
    """

    present: int = 0
    arriving: int = 0
    awaited: int = 0
    publishers: int = 0
    subscribers: int = 0


NO_USAGE = Usage()
_SUBSCRIBED = tuple(Usage(present=1, subscribers=count) for count in range(17))
"""What participants that only watch count, by the number of their subscriptions. Most participants are of this kind."""
_ARRIVING = tuple(Usage(arriving=1, subscribers=count) for count in range(3))
"""What participants count whose offers to watch are answered before they have a connection."""


NO_ATTEMPTS: Mapping[str, Attempt] = {}
"""Shared by all participants without an offer in progress: most of them, most of the time."""


class SessionParticipant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One participant of a session.

    `claims` are those of its current token, `former_claims` those of the tokens that it has exchanged since it joined.
    `record` is its row. `machine` holds its connections. `arrival` numbers the participants in order of arrival.
    `replica` is the row of the replication that a replica belongs to.
    """

    claims: Claims
    record: ParticipantRecord
    machine: Participant = NO_CONNECTIONS
    attempts: Mapping[str, Attempt] = {}
    replications: Mapping[str, Replication] = {}
    replica: Replica | None = None
    former_claims: tuple[Claims, ...] = ()
    source_watch: SourceWatch = UNWATCHED
    mute: MuteState = UNMUTED
    sole_events_id: str | None = None
    """The events websocket of a client that has one at a time; see `rules/sole_websocket.py`."""
    arrival: int = 0
    usage: Usage = NO_USAGE
    """What it counts in the quotas, as of the last decision."""
    is_written: bool = False
    """Whether the book has its row as `record` is."""

    @property
    def protocol(self) -> ParticipantProtocol:
        """How it publishes. A replica has the protocol of its publisher, copied into its row when it arrives."""
        if self.machine.is_replica:
            return self.record.protocol
        return ParticipantProtocol.WHIP if self.claims.ingest is None else self.claims.ingest.protocol

    @property
    def virtual_id(self) -> str | None:
        """The id of the virtual participant that a redundant stream feeds; None for all other participants."""
        return None if self.claims.ingest is None else self.claims.ingest.feeds

    @property
    def is_virtual(self) -> bool:
        """Whether it is the virtual participant of redundant streams, which has no connection in an engine."""
        ingest = self.claims.ingest
        return ingest is not None and ingest.is_redundant and ingest.feeds is None


class Source(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The engine's source of one publisher.

    `users` maps the ids of the connections and attempts that feed the source to the ids of their participants. A source
    without users is ended. Viewers of a replica subscribe to the source of its publisher, which belongs to the source
    session; in the destination session `is_local` is false and there are no users.
    """

    source_id: str
    users: Mapping[str, str] = {}
    is_local: bool = True


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A stage session. `viewers` maps a publisher's id to the connections that watch it and their owners.

    `has_departed`: the book has rows of participants that are not in `participants` any longer. `empty_since` is when
    the last participant left, while the session lingers. `arrivals` counts arrivals, to number the next one.
    """

    stage_arn: str
    account_id: str
    session_id: str
    phase: SessionPhase = SessionPhase.UNOPENED
    participants: PersistentMap[str, SessionParticipant] = PersistentMap()
    viewers: PersistentMap[str, PersistentMap[str, str]] = PersistentMap()
    sources: PersistentMap[str, Source] = PersistentMap()
    usage: Usage = NO_USAGE
    arrivals: int = 0
    has_departed: bool = False
    start_ms: int = 0
    empty_since: Instant | None = None

    def has_replica(self, participant_id: str) -> bool:
        """Return whether a replica with this id is on the stage."""
        participant = self.participants.get(participant_id)
        return participant is not None and participant.machine.replica_id is not None


def shown_mute(participant: SessionParticipant) -> MuteState:
    """Return the mute state that others are shown: what the participant said, and what its publication does not send.

    A muted publisher may send silence, or nothing, so nothing follows from the media itself.
    """
    mute, machine = participant.mute, participant.machine
    publication_id = machine.publication_id
    publication = None if publication_id is None else machine.connections[publication_id]
    if publication is None or (publication.sends_audio and publication.sends_video):
        return mute
    return MuteState(
        audio_muted=mute.audio_muted or not publication.sends_audio,
        video_stopped=mute.video_stopped or not publication.sends_video,
    )


def usage_of(participant: SessionParticipant) -> Usage:
    """Return what one participant counts in the quotas. A publisher that replaces its own publication counts once.

    A virtual participant does not count as a publisher: its redundant streams do, each by itself. A participant counts
    nothing, NO_USAGE itself, if it has no connection, replication or attempt.
    """
    machine, attempts = participant.machine, participant.attempts
    connections = machine.connections
    subscribers, publishes = 0, False
    for connection in connections.values():
        kind = connection.kind
        if kind is _SUBSCRIBE:
            subscribers += 1
        elif kind is not _EVENTS:
            publishes = True
    for attempt in attempts.values():
        if attempt.kind is _SUBSCRIBE:
            subscribers += 1
        else:
            publishes = True
    is_present = bool(connections)
    if not publishes:
        if is_present:
            # `awaited` and `arriving` are 0 for one that is present.
            if subscribers < len(_SUBSCRIBED):
                return _SUBSCRIBED[subscribers]
        elif not machine.replications and subscribers < len(_ARRIVING):
            return _ARRIVING[subscribers] if attempts else NO_USAGE
    return Usage(
        present=1 if is_present else 0,
        arriving=1 if attempts and not is_present else 0,
        awaited=1 if machine.replications and not is_present else 0,
        publishers=1 if publishes and not participant.is_virtual else 0,
        subscribers=subscribers,
    )


AttemptFailure = Literal["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR"]
"""The events that report a refused attempt."""

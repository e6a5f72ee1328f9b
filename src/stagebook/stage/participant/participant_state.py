"""The state of one participant in one stage session: its connections and its running replications."""

from collections.abc import Mapping

import msgspec

from stagebook.stage.events import ReplicationDestination
from stagebook.stage.participant.transitions import PUBLISHING_KINDS, ConnectionKind, ConnectionState, Presence

_PUBLISH, _FLOWING = ConnectionKind.PUBLISH, ConnectionState.FLOWING


class Connection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An existing connection. `remote_participant_id` is the publisher that a SUBSCRIBE connection watches.

    `sends_audio` and `sends_video` are of PUBLISH connections.
    """

    kind: ConnectionKind
    state: ConnectionState
    remote_participant_id: str | None = None
    remote_is_replica: bool = False
    sends_audio: bool = True
    sends_video: bool = True


class Participant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of one participant: connections and replications by id, connections in order of acceptance.

    `is_replica` marks the participant's own events.
    """

    connections: Mapping[str, Connection] = {}
    replications: Mapping[str, ReplicationDestination] = {}
    is_replica: bool = False

    @property
    def presence(self) -> Presence:
        """Whether it is on the stage."""
        return Presence.PRESENT if self.connections else Presence.ABSENT

    @property
    def is_awaited(self) -> bool:
        """Whether it has left the stage while a replication of it waits for its return."""
        return bool(self.replications) and not self.connections

    @property
    def replica_id(self) -> str | None:
        """The id of the only connection of a replica, of the kind REPLICA; None for all other participants."""
        return next(iter(self.connections), None) if self.is_replica else None

    @property
    def publication_id(self) -> str | None:
        """The id of the PUBLISH connection that is its publication, or None.

        That is the flowing one. While none flows it is the oldest, which reserves the publication until it connects.
        """
        found = None
        for connection_id, connection in self.connections.items():
            if connection.kind is _PUBLISH:
                if connection.state is _FLOWING:
                    return connection_id
                found = found or connection_id
        return found

    @property
    def replacement_id(self) -> str | None:
        """The id of the PUBLISH connection that replaces the publication once it connects, or None."""
        publication_id = self.publication_id
        for connection_id, connection in self.connections.items():
            if connection.kind is _PUBLISH and connection_id != publication_id:
                return connection_id
        return None

    @property
    def is_publishing(self) -> bool:
        """Whether the media of one of its publishing connections flows (PUBLISH, REPLICA or REDUNDANT)."""
        return any(
            connection.kind in PUBLISHING_KINDS and connection.state is _FLOWING
            for connection in self.connections.values()
        )

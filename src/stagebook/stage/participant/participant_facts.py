"""The facts of one participant: the input of `participant_machine.step`.

Each fact carries the cause and the detail that the book stores with the events that the fact emits. Values that are
created often and cannot be part of a reference cycle set `gc=False`, so that the garbage collector skips them.
"""

from typing import Literal, TypeAlias

import msgspec

from stagebook.stage.events import Cause, ErrorCode, ReplicationDestination, TokenExchange


class Accepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The server accepted a connection: it opened a websocket, answered an offer, admitted an encoder or created a
    replica. A SUBSCRIBE connection names the publisher that it watches, a PUBLISH connection the kinds of media that
    it sends."""

    connection_id: str
    kind: Literal["events", "publish", "subscribe", "replica", "redundant"]
    remote_participant_id: str | None = None
    remote_is_replica: bool = False
    sends_audio: bool = True
    sends_video: bool = True
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


class MediaConnected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The media transport of a connection is up. For a replica: the publisher's transport is up."""

    connection_id: str
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


class Paused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The publisher of a replica stopped, and the replica waits until it publishes again."""

    connection_id: str
    cause: Cause
    detail: str | None = None


class Replicated(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A replication of this participant to another stage started."""

    replication_id: str
    destination: ReplicationDestination
    cause: Cause = Cause.REPLICATION_API
    detail: str | None = None


class Gone(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Connections and replications of the participant ended together, for one reason."""

    connection_ids: tuple[str, ...] = ()
    replication_ids: tuple[str, ...] = ()
    cause: Cause
    detail: str | None = None


class Cut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The server ended a media connection because it broke a limit or a rule, or because the server failed.

    `replication_ids` are the replications that end with the publication.
    """

    connection_id: str
    code: ErrorCode
    replication_ids: tuple[str, ...] = ()
    cause: Cause = Cause.LIMIT
    detail: str | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The server refused an attempt of an identified participant. Only the event is recorded; no state changes."""

    attempt: Literal["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR"]
    code: ErrorCode
    remote_participant_id: str | None = None
    remote_is_replica: bool = False
    cause: Cause = Cause.REFUSED
    detail: str | None = None


class Exchanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The participant has exchanged its token. `replication_ids` are the replications that end because the new token
    does not allow the publication."""

    exchange: TokenExchange
    replication_ids: tuple[str, ...] = ()
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


ParticipantFact: TypeAlias = Accepted | MediaConnected | Paused | Replicated | Gone | Cut | Refused | Exchanged

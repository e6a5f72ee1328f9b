"""The facts that go into the heart: what the doors and the engines saw of one participant.

Every fact carries the cause and detail that its events keep in the book. Values that come in storms and cannot be part
of a cycle say `gc=False`: the collector need not walk them.
"""

from typing import Literal, TypeAlias

import msgspec

from stagebook.stage.events import Cause, ErrorCode, ReplicationDestination, TokenExchange


class Accepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A connection was accepted: a websocket opened, an offer was answered, an encoder's stream key was good, or a
    replica was put on the stage."""

    connection_id: str
    kind: Literal["events", "publish", "subscribe", "replica", "redundant"]
    remote_participant_id: str | None = None
    remote_is_replica: bool = False
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


class Replaced(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A publisher came back while its former connection was open: the new connection stands in its place."""

    connection_id: str
    former_connection_id: str
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


class Connected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A publish or subscribe connection's media transport is up; of a replica: its publisher's is."""

    connection_id: str
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


class Paused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The publisher of a replica stopped, and the replica waits for it to come back."""

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
    """Connections, replications or both ended, together, for one reason."""

    connection_ids: tuple[str, ...] = ()
    replication_ids: tuple[str, ...] = ()
    cause: Cause
    detail: str | None = None


class Cut(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A media connection broke a limit or a rule of its form, or failed within the server, and was ended for it.

    A publication takes along the replications that do not wait for its return.
    """

    connection_id: str
    code: ErrorCode
    replication_ids: tuple[str, ...] = ()
    cause: Cause = Cause.LIMIT
    detail: str | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An identified participant tried something and was refused. Nothing changes but the book."""

    attempt: Literal["JOIN_ERROR", "PUBLISH_ERROR", "SUBSCRIBE_ERROR"]
    code: ErrorCode
    remote_participant_id: str | None = None
    remote_is_replica: bool = False
    cause: Cause = Cause.REFUSED
    detail: str | None = None


class Exchanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant on the stage has another token now: its rights, user id and attributes are the new token's.

    A publication that the new token does not allow takes its replications along, as with Cut.
    """

    exchange: TokenExchange
    replication_ids: tuple[str, ...] = ()
    cause: Cause | None = Cause.CLIENT
    detail: str | None = None


Fact: TypeAlias = Accepted | Replaced | Connected | Paused | Replicated | Gone | Cut | Refused | Exchanged

"""Derives a participant's row from its events.

The row (ListParticipants, GetParticipant) and the events are written in one transaction. The row is a function of its
former value and the events, so the two cannot contradict each other.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import (
    ParticipantProtocol,
    ParticipantRecord,
    ParticipantState,
    ReplicationState,
    ReplicationType,
)

_JOINED, _CONNECTED = EventName.JOINED, ParticipantState.CONNECTED
WITHOUT_CHANGE = frozenset(
    (
        EventName.JOIN_ERROR,
        EventName.PUBLISH_ERROR,
        EventName.PUBLISH_STOPPED,
        EventName.SUBSCRIBE_ERROR,
        EventName.SUBSCRIBE_STARTED,
        EventName.SUBSCRIBE_STOPPED,
    )
)
"""The events that do not change the row. Most events of a large session are subscriptions."""


def record_after(
    record: ParticipantRecord,
    events: Iterable[Event],
    *,
    at_ms: int,
    protocol: ParticipantProtocol,
    is_replicated: bool = False,
) -> ParticipantRecord:
    """Return the row of a participant after these events, which happened at `at_ms`.

    Rules (shape Participant): `firstJoinTime` is the time of the first JOINED. `published` means "ever published".
    `protocol` is how the participant publishes, from its first PUBLISH_STARTED on. The user id and the attributes are
    those of the newest token. The replication state of a replica is ACTIVE while it is on the stage; that of a source
    participant is ACTIVE while a replication of it runs (`is_replicated`).
    """
    for event in events:
        name = event.name
        if name in WITHOUT_CHANGE:
            continue
        if name is _JOINED:
            first = at_ms if record.first_join_ms is None else record.first_join_ms
            record = replace(record, state=_CONNECTED, first_join_ms=first)
            if event.replica:
                record = replace(record, replication_state=ReplicationState.ACTIVE)
        elif name is EventName.LEFT:
            record = replace(record, state=ParticipantState.DISCONNECTED)
            if event.replica:
                record = replace(record, replication_state=ReplicationState.STOPPED)
        elif name is EventName.PUBLISH_STARTED:
            record = replace(record, published=True, protocol=protocol)
        elif name in (EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED):
            state = ReplicationState.ACTIVE if is_replicated else ReplicationState.STOPPED
            record = replace(record, replication_type=ReplicationType.SOURCE, replication_state=state)
        elif event.exchange is not None:
            record = replace(record, user_id=event.exchange.new.user_id, attributes=event.exchange.new.attributes)
    return record

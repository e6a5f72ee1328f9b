"""The events of one participant of one session, checked against the rules, and the row that they lead to.

Events come in the order of their sequence numbers. Those of Stagebook have a cause, and must be in causal order. Events
without a cause, of a source that does not say in which order the events of one time happened, may be in any order
within that time (`tie_order.py`).

After a broken rule the audit goes on with what the event says, so that one fault is reported once or a few times, and
what follows is still checked.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from stagebook.audit import book_rules
from stagebook.audit.book_rules import BookRule
from stagebook.audit.recordings.recording_audit import RecordingAudit
from stagebook.audit.tie_order import Flowing, causal_order
from stagebook.stage.events import RECORDING_EVENT_NAMES, Event, EventName, ReplicationDestination
from stagebook.stage.participant.record_projection import record_after
from stagebook.stage.resources import Capability, ParticipantRecord, ParticipantState, ReplicationType

_JOINED, _LEFT = EventName.JOINED, EventName.LEFT
_PUBLISH_STARTED, _PUBLISH_STOPPED = EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED
_SUBSCRIBE_STARTED, _SUBSCRIBE_STOPPED = EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED
_REPLICATION_STARTED, _REPLICATION_STOPPED = EventName.REPLICATION_STARTED, EventName.REPLICATION_STOPPED
_EXCHANGED = EventName.TOKEN_EXCHANGED
_ERRORS = frozenset(name for name in EventName if name.value.endswith("_ERROR"))
_SUBSCRIBES = frozenset((_SUBSCRIBE_STARTED, _SUBSCRIBE_STOPPED, EventName.SUBSCRIBE_ERROR))
_REPLICA_EVENTS = frozenset((_JOINED, _LEFT, _PUBLISH_STARTED, _PUBLISH_STOPPED))
_ROW_EVENTS = frozenset((_JOINED, _LEFT, _PUBLISH_STARTED, _REPLICATION_STARTED, _REPLICATION_STOPPED, _EXCHANGED))
"""The events that change the row (`record_projection.py`)."""

Mark: TypeAlias = int
"""What identifies an event for the caller, for example its sequence number or its line."""
Fault: TypeAlias = tuple[BookRule, str, Mark]


class _History:
    """What a participant's events so far have led to. `step` is a method of this, so that ties can be tried."""

    __slots__ = ("allowed", "is_present", "is_publishing", "is_replica", "record", "replications", "watched")

    def __init__(self, record: ParticipantRecord) -> None:
        self.record = record
        self.is_present = self.is_publishing = self.is_replica = False
        self.watched: dict[str | None, int] = {}
        self.replications: set[ReplicationDestination | None] = set()
        self.allowed: tuple[str, ...] | None = None
        """The capabilities of the newest token of an exchange, None if there was none since JOINED."""

    def copy(self) -> "_History":
        """Return a copy that changes independently."""
        other = _History(self.record)
        other.is_present, other.is_publishing, other.is_replica = self.is_present, self.is_publishing, self.is_replica
        other.watched, other.replications = dict(self.watched), set(self.replications)
        other.allowed = self.allowed
        return other

    def step(self, event: Event, time_ms: int) -> Iterator[tuple[BookRule, str]]:
        """Take the next event; yield what is wrong with it. The state is that after the event."""
        name = event.name
        yield from self._presence_faults(event)
        yield from self._mark_faults(event)
        if name is _LEFT:
            yield from self._leave()
        elif name is _PUBLISH_STARTED or name is _PUBLISH_STOPPED:
            yield from self._publish(name)
        elif name is _SUBSCRIBE_STARTED or name is _SUBSCRIBE_STOPPED:
            yield from self._watch(name, event.remote_participant_id)
        elif name is _REPLICATION_STARTED or name is _REPLICATION_STOPPED:
            yield from self._replicate(name, event.destination)
        elif event.exchange is not None:
            self.allowed = event.exchange.new.capabilities
        if name in _ROW_EVENTS:
            self._change_row(event, time_ms)
        elif name in _ERRORS and not self.is_present:
            # A refused attempt of its own: it is no replica any more (`effective_token.py`).
            self.record = _arrived(self.record, is_replica=False)

    def _presence_faults(self, event: Event) -> Iterator[tuple[BookRule, str]]:
        """Yield what is wrong with the frame of JOINED and LEFT; JOINED begins it."""
        name = event.name
        if name is _JOINED:
            if self.is_present:
                yield book_rules.PRESENCE, "JOINED of a participant that is on the stage"
            self.is_present, self.is_replica, self.allowed = True, event.replica, None
        elif name not in _ERRORS and name is not _REPLICATION_STOPPED and not self.is_present:
            yield (book_rules.PRESENCE if name is _LEFT else book_rules.ON_STAGE), f"{name} before JOINED or after LEFT"

    def _mark_faults(self, event: Event) -> Iterator[tuple[BookRule, str]]:
        name = event.name
        if name not in _SUBSCRIBES and event.replica != self.is_replica:
            what = "marked as a replica's" if event.replica else "not marked as a replica's"
            yield book_rules.REPLICA_MARK, f"{name} is {what}, other than JOINED"
        elif self.is_replica and name not in _REPLICA_EVENTS and self.is_present:
            yield book_rules.REPLICA_MARK, f"{name} of a replica"

    def _leave(self) -> Iterator[tuple[BookRule, str]]:
        if self.is_publishing or self.watched:
            what = "its publication" if self.is_publishing else f"its subscription to {next(iter(self.watched))}"
            yield book_rules.STOPPED_BEFORE_LEFT, f"LEFT while {what} goes on"
        self.is_present = self.is_publishing = self.is_replica = False
        self.watched.clear()
        self.allowed = None

    def _publish(self, name: EventName) -> Iterator[tuple[BookRule, str]]:
        starts = name is _PUBLISH_STARTED
        if self.is_publishing is starts:
            yield (
                book_rules.PUBLICATION,
                f"{name} of a participant that {'publishes' if starts else 'does not publish'}",
            )
        self.is_publishing = starts
        if starts and self.allowed is not None and Capability.PUBLISH not in self.allowed:
            yield book_rules.CAPABILITIES, f"{name} with a token that does not allow it"

    def _watch(self, name: EventName, remote: str | None) -> Iterator[tuple[BookRule, str]]:
        count = self.watched.get(remote, 0)
        if name is _SUBSCRIBE_STARTED:
            self.watched[remote] = count + 1
            if self.allowed is not None and Capability.SUBSCRIBE not in self.allowed:
                yield book_rules.CAPABILITIES, f"{name} with a token that does not allow it"
        elif count == 0:
            yield book_rules.SUBSCRIPTION, f"{name} of {remote}, who is not watched"
        elif count == 1:
            del self.watched[remote]
        else:
            self.watched[remote] = count - 1

    def _replicate(self, name: EventName, destination: ReplicationDestination | None) -> Iterator[tuple[BookRule, str]]:
        if name is _REPLICATION_STARTED:
            if not self.is_publishing:
                yield book_rules.REPLICATION, f"{name} of a participant that does not publish"
            if destination in self.replications:
                yield book_rules.REPLICATION, f"{name} to a destination that it is replicated to already"
            self.replications.add(destination)
        elif destination in self.replications:
            self.replications.remove(destination)
        else:
            yield book_rules.REPLICATION, f"{name} to a destination that it is not replicated to"

    def _change_row(self, event: Event, time_ms: int) -> None:
        record = self.record
        if event.name is _JOINED:
            record = _arrived(record, is_replica=event.replica)
        self.record = record_after(
            record, (event,), at_ms=time_ms, protocol=record.protocol, is_replicated=bool(self.replications)
        )

    def exceeding(self) -> Iterator[tuple[BookRule, str]]:
        """Yield what goes on although the token of an exchange does not allow it, once for each token."""
        if self.allowed is None:
            return
        if self.is_publishing and Capability.PUBLISH not in self.allowed:
            yield book_rules.CAPABILITIES, "its publication goes on with a token that does not allow it"
            self.allowed = (*self.allowed, Capability.PUBLISH)
        if self.watched and Capability.SUBSCRIBE not in self.allowed:
            yield book_rules.CAPABILITIES, "its subscriptions go on with a token that does not allow them"
            self.allowed = (*self.allowed, Capability.SUBSCRIBE)


def _arrived(record: ParticipantRecord, *, is_replica: bool) -> ParticipantRecord:
    """Return the row of a participant that joins: as a replica, or by itself after it was one."""
    if is_replica and record.replication_type is not ReplicationType.REPLICA:
        return msgspec.structs.replace(record, replication_type=ReplicationType.REPLICA)
    if not is_replica and record.replication_type is ReplicationType.REPLICA:
        return msgspec.structs.replace(
            record,
            replication_type=ReplicationType.NONE,
            replication_state=None,
            source_stage_arn=None,
            source_session_id=None,
        )
    return record


class ParticipantAudit:
    """The audit of one participant. `record` has what its events do not say: user id, attributes, protocol, client."""

    __slots__ = ("_history", "_tied", "_time_ms", "recordings")

    def __init__(self, record: ParticipantRecord, *, session_id: str) -> None:
        self._history = _History(record)
        self.recordings = RecordingAudit(session_id)
        self._tied: list[tuple[Event, Mark]] | None = None
        """The events of the newest time, from the first one on that has no cause or exchanges the token."""
        self._time_ms = -1

    def add(self, event: Event, time_ms: int, mark: Mark) -> Sequence[Fault]:
        """Take the next event; return what is wrong with it or with those that have the time before."""
        if event.name in RECORDING_EVENT_NAMES:
            # Reports of the recorder: they can come at any time, also after LEFT.
            return [(rule, detail, mark) for rule, detail in self.recordings.step(event)]
        faults: list[Fault] = []
        if time_ms != self._time_ms:
            faults += self.settle()
            self._time_ms = time_ms
        if self._tied is not None:
            self._tied.append((event, mark))
        elif event.cause is None or event.name is _EXCHANGED:
            # What a new token does not allow stops in the same action, so it must have stopped at the next time.
            self._tied = [(event, mark)]
        else:
            faults += _step_all(self._history, ((event, mark),), time_ms)
        return faults

    def settle(self) -> Sequence[Fault]:
        """Return what is wrong with the events of the newest time. Events of that time may still be added."""
        tied, self._tied = self._tied, None
        if tied is None:
            return ()
        if len(tied) > 1 and any(event.cause is None for event, _ in tied):
            history = self._history
            trial = history.copy()
            faults = _step_all(trial, tied, self._time_ms)
            if faults:
                before = Flowing(
                    is_present=history.is_present, is_publishing=history.is_publishing, watched=history.watched
                )
                tied = causal_order(tied, before)
                trial = history.copy()
                faults = _step_all(trial, tied, self._time_ms)
            self._history = trial
        else:
            faults = _step_all(self._history, tied, self._time_ms)
        return [*faults, *((rule, detail, tied[-1][1]) for rule, detail in self._history.exceeding())]

    @property
    def record(self) -> ParticipantRecord:
        """The row after all events. Call `settle` before."""
        return self.recordings.applied_to(self._history.record)

    @property
    def is_open(self) -> bool:
        """Whether the participant is on the stage, or is replicated. Call `settle` before."""
        return self._history.is_present or bool(self._history.replications)

    @property
    def open_starts(self) -> dict[tuple[EventName, str | ReplicationDestination | None], int]:
        """What its events have started and not ended: how often, by the name of the start and what it is about."""
        history = self._history
        found: dict[tuple[EventName, str | ReplicationDestination | None], int] = {}
        if history.is_present:
            found[_JOINED, None] = 1
        if history.is_publishing:
            found[_PUBLISH_STARTED, None] = 1
        found.update({(_SUBSCRIBE_STARTED, remote): count for remote, count in history.watched.items()})
        found.update({(_REPLICATION_STARTED, destination): 1 for destination in history.replications})
        return found

    def close(self) -> Iterator[tuple[BookRule, str]]:
        """Yield what is open although the session has ended."""
        for (name, about), count in self.open_starts.items():
            what = about.session_id if isinstance(about, ReplicationDestination) else about
            of_what = "" if what is None else f" of {what}"
            yield book_rules.CLOSED, f"{name}{of_what} without its end{'' if count == 1 else f', {count} times'}"


def _step_all(history: _History, entries: Iterable[tuple[Event, Mark]], time_ms: int) -> list[Fault]:
    return [(rule, detail, mark) for event, mark in entries for rule, detail in history.step(event, time_ms)]


def before_events(record: ParticipantRecord) -> ParticipantRecord:
    """Return a row as it was before the first event, with what events do not say."""
    return ParticipantRecord(
        participant_id=record.participant_id,
        attributes=record.attributes,
        protocol=record.protocol,
        client=record.client,
        source_stage_arn=record.source_stage_arn,
        source_session_id=record.source_session_id,
        redundant_ingest=record.redundant_ingest,
        ingest_configuration_arn=record.ingest_configuration_arn,
    )


def row_faults(row: ParticipantRecord, derived: ParticipantRecord) -> Iterator[tuple[BookRule, str]]:
    """Yield where a participant's row differs from what its events say."""
    expected: list[tuple[str, object, object]] = [
        ("state", row.state, derived.state),
        ("published", row.published, derived.published),
        ("firstJoinTime", row.first_join_ms, derived.first_join_ms),
    ]
    if row.replication_type is not ReplicationType.NONE or derived.replication_type is not ReplicationType.NONE:
        expected.append(("replicationType", row.replication_type, derived.replication_type))
        expected.append(("replicationState", row.replication_state, derived.replication_state))
    for name, found, wanted in expected:
        if found != wanted:
            yield book_rules.ROW, f"{name} is {_shown(found)}, its events say {_shown(wanted)}"


def _shown(value: object) -> str:
    return value.value if isinstance(value, ParticipantState) else str(value)

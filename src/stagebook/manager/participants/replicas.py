"""The two ends of every running replication, kept in step: the source's events, the replica's, and the row of both.

Owns how a replication starts, waits, goes on and ends in the book. Whether one may start is `replication.py`'s to say;
who watches a replica, and what the engine must close, is the affair of `endings.py`.
"""

import heapq

from msgspec.structs import replace

from stagebook.book.changes import Change, PutReplica
from stagebook.manager.session.running_sessions import LiveParticipant, LiveReplication, Route
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage import replication as rules
from stagebook.stage.claims import Claims
from stagebook.stage.events import Cause, ReplicationDestination
from stagebook.stage.facts import Accepted, Connected, Gone, Paused, Replicated
from stagebook.stage.participant import ConnectionKind, Participant
from stagebook.stage.replication import Phase
from stagebook.stage.resources import Replica, ReplicationState, ReplicationType


class Replicas:
    """The running replications. What its methods record is added to `changes`; whoever calls commits them."""

    def __init__(self, *, ledger: UnitOfWork) -> None:
        self._ledger = ledger
        self._running = ledger.live.replications
        self._deadlines: list[tuple[int, str]] = []

    def of(self, source: LiveParticipant) -> list[LiveReplication]:
        """Return the running replications of a participant of a source stage."""
        return [self._running[replication_id] for replication_id in source.machine.replications]

    def start(self, replication: LiveReplication, attributes: dict[str, str], changes: list[Change]) -> None:
        """Put the replica of a publishing participant on the destination stage. `attributes` are the replica's."""
        source, destination = replication.source, replication.destination
        replication_id, participant_id = replication.replication_id, replication.participant_id
        self._running[replication_id] = replication
        where = ReplicationDestination(stage_arn=destination.stage_arn, session_id=destination.session_id)
        publisher = source.participants[participant_id]
        started = Replicated(replication_id=replication_id, destination=where)
        self._ledger.write(source, publisher, [started], changes)
        replica = self._replica_of(publisher, replication, attributes)
        arrival = (
            Accepted(connection_id=replication_id, kind="replica", cause=Cause.REPLICATION_API),
            Connected(connection_id=replication_id, cause=Cause.REPLICATION_API),
        )
        self._ledger.write(destination, replica, arrival, changes)
        route = Route(session=destination, participant_id=participant_id, kind=ConnectionKind.REPLICA)
        self._ledger.live.add_route(replication_id, route)
        changes.append(_row(replication, ReplicationState.ACTIVE))

    def _replica_of(
        self, publisher: LiveParticipant, replication: LiveReplication, attributes: dict[str, str]
    ) -> LiveParticipant:
        source, destination = replication.source, replication.destination
        claims = Claims(
            participant_id=replication.participant_id,
            stage_arn=destination.stage_arn,
            capabilities=frozenset(),
            user_id=publisher.record.user_id,
            attributes=attributes,
            expires_at_seconds=publisher.claims.expires_at_seconds,
        )
        replica = self._ledger.participant_of(destination, claims, publisher.record.client)
        replica.claims = claims
        replica.machine = Participant(is_replica=True)
        # A row of this id may be there: who was in this session before keeps its first join.
        replica.record = replace(
            publisher.record,
            state=replica.record.state,
            first_join_ms=replica.record.first_join_ms,
            attributes=attributes,
            replication_type=ReplicationType.REPLICA,
            replication_state=ReplicationState.ACTIVE,
            source_stage_arn=source.stage_arn,
            source_session_id=source.session_id,
        )
        return replica

    def ending_with(
        self, source: LiveParticipant, *, publication_ended: bool, cause: Cause
    ) -> tuple[LiveReplication, ...]:
        """Return the replications that end now that a participant's connections end for this reason."""
        return tuple(
            replication
            for replication in self.of(source)
            if rules.ends_with(replication.state, publication_ended=publication_ended, cause=cause)
        )

    def pause(self, replication: LiveReplication, *, cause: Cause, detail: str | None, changes: list[Change]) -> None:
        """Let the replica wait for its publisher, who stopped."""
        was_live = replication.state.phase is Phase.LIVE
        replication.state = rules.publisher_stopped(replication.state, at_ms=self._ledger.now_ms())
        if was_live and replication.state.deadline_ms is not None:
            heapq.heappush(self._deadlines, (replication.state.deadline_ms, replication.replication_id))
            paused = Paused(connection_id=replication.replication_id, cause=cause, detail=detail)
            self._ledger.write(replication.destination, _replica(replication), [paused], changes)

    def resume(self, source: LiveParticipant, changes: list[Change]) -> None:
        """Let the replicas of a publisher whose media flows publish, too: those that waited for it."""
        for replication in self.of(source):
            if replication.state.phase is Phase.AWAITING:
                replication.state = rules.publisher_returned(replication.state)
                connected = Connected(connection_id=replication.replication_id)
                self._ledger.write(replication.destination, _replica(replication), [connected], changes)

    def stop_at_source(
        self, replication: LiveReplication, *, cause: Cause, detail: str | None, changes: list[Change]
    ) -> None:
        """Record the end of a replication with its source."""
        gone = Gone(replication_ids=(replication.replication_id,), cause=cause, detail=detail)
        source = replication.source
        self._ledger.write(source, source.participants[replication.participant_id], [gone], changes)

    def stop_at_destination(
        self, replication: LiveReplication, *, cause: Cause, detail: str | None, changes: list[Change]
    ) -> None:
        """Record that the replica left."""
        gone = Gone(connection_ids=(replication.replication_id,), cause=cause, detail=detail)
        self._ledger.write(replication.destination, _replica(replication), [gone], changes)
        self._ledger.live.drop_route(replication.replication_id)

    def forget(self, replication: LiveReplication, changes: list[Change]) -> None:
        """Close the row of a replication that has ended at both ends."""
        replication.state = rules.over(replication.state)
        del self._running[replication.replication_id]
        changes.append(_row(replication, ReplicationState.STOPPED))

    def due(self) -> list[LiveReplication]:
        """Take out and return the replications whose window has run out."""
        now_ms = self._ledger.now_ms()
        found = {}
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            _, replication_id = heapq.heappop(self._deadlines)
            replication = self._running.get(replication_id)
            # It may have ended, gone on, or wait anew: then it is in the heap more than once.
            if replication is not None and rules.is_due(replication.state, now_ms=now_ms):
                found[replication_id] = replication
        return list(found.values())


def _replica(replication: LiveReplication) -> LiveParticipant:
    return replication.destination.participants[replication.participant_id]


def _row(replication: LiveReplication, state: ReplicationState) -> PutReplica:
    return PutReplica(
        replica=Replica(
            source_stage_arn=replication.source.stage_arn,
            source_session_id=replication.source.session_id,
            participant_id=replication.participant_id,
            destination_stage_arn=replication.destination.stage_arn,
            destination_session_id=replication.destination.session_id,
            state=state,
        )
    )

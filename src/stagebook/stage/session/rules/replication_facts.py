"""StartParticipantReplication, StopParticipantReplication and the facts that keep their two sessions in step.

Source: those pages of the API reference, and "Participant Replication" of the user guide. Where they are silent: the
participant must be publishing, a replica cannot be replicated again, and replicas count as publishers of the
destination stage and of the account.
"""

from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.errors import ConflictError, ResourceNotFoundError, ServiceQuotaExceededError, StagebookError
from stagebook.stage.events import Cause, ReplicationDestination
from stagebook.stage.participant.participant_facts import Accepted, Gone, MediaConnected, Paused, Replicated
from stagebook.stage.participant.participant_state import Participant
from stagebook.stage.resources import ParticipantRecord, Replica, ReplicationState, ReplicationType
from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import Forward, WriteReplica
from stagebook.stage.session.replication_phase import Replication, ReplicationPhase
from stagebook.stage.session.rules.attempt_cancellation import cancel_attempts
from stagebook.stage.session.rules.effective_token import replicated_refusal
from stagebook.stage.session.rules.replicas import end_replications, forget_replication
from stagebook.stage.session.rules.teardown import end_viewers, remove_replica
from stagebook.stage.session.session_facts import (
    ReplicaArrived,
    ReplicaEnded,
    ReplicaPaused,
    ReplicaResumed,
    ReplicationEnded,
    ReplicationRequested,
    ReplicationStopRequested,
    WindowElapsed,
)
from stagebook.stage.session.session_state import SessionParticipant, Source, shown_mute


def replication_requested(draft: Draft, fact: ReplicationRequested) -> Refusal:
    """Start a replication, in the source session: REPLICATION_STARTED (API reference, StartParticipantReplication).

    Refused with ConflictError (not publishing, a redundant stream, a replica, replicated there already) or
    ServiceQuotaExceededError. The destination session decides the forwarded ReplicaArrived in the same transaction and
    can still refuse it; then nothing of the transaction is committed.
    """
    participant_id = fact.participant_id
    publisher = draft.find(participant_id)
    refusal = _not_replicable(draft, participant_id, publisher, fact.destination_stage_arn)
    if refusal is not None or publisher is None:
        return refusal
    where = ReplicationDestination(stage_arn=fact.destination_stage_arn, session_id=fact.destination_session_id)
    draft.record(participant_id, Replicated(replication_id=fact.replication_id, destination=where))
    replication = Replication(destination=where, window_seconds=fact.window_seconds)
    publisher = draft.get(participant_id)
    replications = {**publisher.replications, fact.replication_id: replication}
    draft.put(replace(publisher, replications=replications))
    arrived = _replica_arrived(draft, publisher, fact)
    draft.order(Forward(stage_arn=fact.destination_stage_arn, fact=arrived))
    return None


def _not_replicable(
    draft: Draft, participant_id: str, publisher: SessionParticipant | None, destination: str
) -> StagebookError | None:
    """Return why a participant cannot be replicated to a stage, or None."""
    if publisher is not None and publisher.virtual_id is not None:
        return ConflictError(f"participant {participant_id} is a redundant stream: replicate {publisher.virtual_id}")
    if publisher is None or not publisher.machine.is_publishing:
        return ConflictError(f"participant {participant_id} is not publishing")
    if publisher.machine.is_replica:
        return ConflictError(f"participant {participant_id} is a replica: replicate it from its source stage")
    if _replication_to(publisher, destination) is not None:
        return ConflictError(f"participant {participant_id} is replicated to that stage already")
    maximum = draft.context.limits.replications_per_participant
    if len(publisher.replications) >= maximum:
        return ServiceQuotaExceededError(quota="replications of a participant", maximum=maximum)
    return None


def _replica_arrived(draft: Draft, publisher: SessionParticipant, fact: ReplicationRequested) -> ReplicaArrived:
    """Return the fact that brings the replica onto the destination stage."""
    source, participant_id = draft.base, fact.participant_id
    attributes = {**publisher.record.attributes, **fact.attributes}
    return ReplicaArrived(
        replication_id=fact.replication_id,
        claims=Claims(
            participant_id=participant_id,
            stage_arn=fact.destination_stage_arn,
            capabilities=frozenset(),
            user_id=publisher.record.user_id,
            attributes=attributes,
            expires_at_seconds=publisher.claims.expires_at_seconds,
        ),
        record=replace(publisher.record, attributes=attributes),
        replica=Replica(
            source_stage_arn=source.stage_arn,
            source_session_id=source.session_id,
            participant_id=participant_id,
            destination_stage_arn=fact.destination_stage_arn,
            destination_session_id=fact.destination_session_id,
            state=ReplicationState.ACTIVE,
        ),
        source_id=draft.sources[participant_id].source_id,
        mute=shown_mute(publisher),
        known=fact.known,
    )


def replication_stop_requested(draft: Draft, fact: ReplicationStopRequested) -> Refusal:
    """End a replication on request, in the source session. Refused with ResourceNotFoundError if none runs."""
    publisher = draft.find(fact.participant_id)
    found = None if publisher is None else _replication_to(publisher, fact.destination_stage_arn)
    if found is None:
        return ResourceNotFoundError(kind="replication of participant", name=fact.participant_id)
    _stop(draft, fact.participant_id, found, cause=Cause.REPLICATION_API)
    return None


def window_elapsed(draft: Draft, fact: WindowElapsed) -> Refusal:
    """End a replication whose reconnect window has closed.

    Nothing changes if the publisher has returned or the replication has ended.
    """
    publisher = draft.find(fact.participant_id)
    replication = None if publisher is None else publisher.replications.get(fact.replication_id)
    if replication is not None and replication.phase is ReplicationPhase.AWAITING:
        detail = f"the publisher was away for {replication.window_seconds} seconds"
        _stop(draft, fact.participant_id, fact.replication_id, cause=Cause.PUBLISHER_STOPPED, detail=detail)
    return None


def _stop(draft: Draft, participant_id: str, replication_id: str, *, cause: Cause, detail: str | None = None) -> None:
    draft.record(participant_id, Gone(replication_ids=(replication_id,), cause=cause, detail=detail))
    end_replications(draft, participant_id, [replication_id], cause=cause, detail=detail)


def replication_ended(draft: Draft, fact: ReplicationEnded) -> Refusal:
    """End a replication whose replica has left the destination stage. The publisher goes on publishing."""
    publisher = draft.find(fact.participant_id)
    if publisher is not None and fact.replication_id in publisher.replications:
        gone = Gone(replication_ids=(fact.replication_id,), cause=fact.cause, detail=fact.detail)
        draft.record(fact.participant_id, gone)
        forget_replication(draft, fact.participant_id, fact.replication_id)
    return None


def replica_arrived(draft: Draft, fact: ReplicaArrived) -> Refusal:
    """Let a replica join the destination stage, or refuse the replication.

    Refused with ConflictError if a participant with the same id is on that stage, or waits there, or feeds a source
    under this id; with ServiceQuotaExceededError if a quota of the destination is reached. JOINED and PUBLISH_STARTED
    follow at once, because the source is publishing.
    """
    participant_id = fact.claims.participant_id
    namesake = draft.find(participant_id)
    refusal = _namesake_conflict(draft, participant_id, namesake) or _destination_quota(draft)
    if refusal is not None:
        return refusal
    # A participant with this id that has not joined yet is refused in favour of the replica. Otherwise its attempt
    # could be answered while the replica uses the id.
    cancel_attempts(draft, participant_id, replicated_refusal())
    draft.arrivals += 1
    draft.put(
        SessionParticipant(
            claims=fact.claims,
            record=_replica_record(fact, known=fact.known if namesake is None else namesake.record),
            machine=Participant(is_replica=True),
            replica=fact.replica,
            mute=fact.mute,
            arrival=draft.arrivals,
        )
    )
    draft.sources = draft.sources.insert(participant_id, Source(source_id=fact.source_id, is_local=False))
    draft.record(
        participant_id,
        Accepted(connection_id=fact.replication_id, kind="replica", cause=Cause.REPLICATION_API),
        MediaConnected(connection_id=fact.replication_id, cause=Cause.REPLICATION_API),
    )
    draft.order(WriteReplica(replica=fact.replica))
    return None


def _namesake_conflict(draft: Draft, participant_id: str, namesake: SessionParticipant | None) -> StagebookError | None:
    """Return a ConflictError if the destination stage has a participant with the id of the replica, or None."""
    source = draft.sources.get(participant_id)
    is_fed_here = source is not None and any(owner != participant_id for owner in source.users.values())
    if is_fed_here or (namesake is not None and (namesake.machine.connections or namesake.machine.replications)):
        return ConflictError(f"the destination stage has a participant {participant_id} of its own")
    return None


def _replica_record(fact: ReplicaArrived, *, known: ParticipantRecord | None) -> ParticipantRecord:
    """Return the row of a replica. `known` is the row of a participant with this id in this session, or None.

    A participant that was in this session before keeps its first join.
    """
    return replace(
        fact.record,
        first_join_ms=None if known is None else known.first_join_ms,
        published=known is not None and known.published,
        replication_type=ReplicationType.REPLICA,
        replication_state=ReplicationState.ACTIVE,
        source_stage_arn=fact.replica.source_stage_arn,
        source_session_id=fact.replica.source_session_id,
    )


def _destination_quota(draft: Draft) -> StagebookError | None:
    """Return the quota of the destination stage or of the account that is reached, or None."""
    usage, limits = draft.base.usage, draft.context.limits
    for quota, used, maximum in (
        ("publishers of the destination stage", usage.publishers, limits.publishers_per_stage),
        ("participants of the destination stage", usage.present + usage.arriving, limits.participants_per_stage),
        ("publishers of the account", draft.context.account_publishers, limits.publishers_per_account),
    ):
        if used >= maximum:
            return ServiceQuotaExceededError(quota=quota, maximum=maximum)
    return None


def replica_paused(draft: Draft, fact: ReplicaPaused) -> Refusal:
    """Let a replica wait for its publisher: PUBLISH_STOPPED. Subscriptions to it end, but it stays on the stage."""
    if _has_replica(draft, fact.participant_id, fact.replication_id):
        paused = Paused(connection_id=fact.replication_id, cause=fact.cause, detail=fact.detail)
        draft.record(fact.participant_id, paused)
        end_viewers(draft, fact.participant_id)
    return None


def replica_resumed(draft: Draft, fact: ReplicaResumed) -> Refusal:
    """Let a replica publish again, with the source that its publisher has now. Viewers must subscribe again."""
    if _has_replica(draft, fact.participant_id, fact.replication_id):
        draft.put(replace(draft.get(fact.participant_id), mute=fact.mute))
        draft.record(fact.participant_id, MediaConnected(connection_id=fact.replication_id))
        source = Source(source_id=fact.source_id, is_local=False)
        draft.sources = draft.sources.insert(fact.participant_id, source)
    return None


def replica_ended(draft: Draft, fact: ReplicaEnded) -> Refusal:
    """Let a replica leave the stage, because its replication ended in the source session."""
    if _has_replica(draft, fact.participant_id, fact.replication_id):
        replica = draft.get(fact.participant_id)
        gone = Gone(connection_ids=(fact.replication_id,), cause=fact.cause, detail=fact.detail)
        draft.record(fact.participant_id, gone)
        remove_replica(draft, replica)
    return None


def _has_replica(draft: Draft, participant_id: str, replication_id: str) -> bool:
    replica = draft.find(participant_id)
    return replica is not None and replica.machine.replica_id == replication_id


def _replication_to(publisher: SessionParticipant, destination_stage_arn: str) -> str | None:
    """Return the id of the publisher's replication to a stage, or None."""
    for replication_id, replication in publisher.replications.items():
        if replication.destination.stage_arn == destination_stage_arn:
            return replication_id
    return None

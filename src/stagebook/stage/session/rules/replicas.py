"""Replications, seen from both of their ends.

The source session holds the replication: its reconnect window, and the events REPLICATION_STARTED and
REPLICATION_STOPPED of the publisher. The destination session holds the replica. A decision of one end forwards a fact
to the other; the unit of work applies it in the same transaction, so the two ends cannot differ.

    source session                                  destination session
    ReplicationRequested ------ReplicaArrived-----> JOINED, PUBLISH_STARTED of the replica
    publisher stops ------------ReplicaPaused-----> PUBLISH_STOPPED; the replica waits
    publisher publishes again --ReplicaResumed----> PUBLISH_STARTED
    window closes, API stop ----ReplicaEnded------> PUBLISH_STOPPED, LEFT
    REPLICATION_STOPPED <----ReplicationEnded------ the replica is disconnected, or its stage is deleted

A replica cannot be replicated again, so a fact is forwarded at most once in each direction.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from stagebook.stage.events import Cause
from stagebook.stage.session import replication_phase
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CancelTimer, Forward, SetTimer
from stagebook.stage.session.replication_phase import ReplicationPhase
from stagebook.stage.session.session_facts import (
    ReplicaEnded,
    ReplicaMuteSet,
    ReplicaPaused,
    ReplicaResumed,
    WindowElapsed,
)
from stagebook.stage.session.session_state import MuteState, SessionParticipant, shown_mute


def ending_replications(publisher: SessionParticipant, *, publication_ended: bool, cause: Cause) -> tuple[str, ...]:
    """Return the ids of the replications that end when connections of their publisher end for this cause.

    The rule for one replication is `replication_phase.ends_with`. The ids must be known before the fact is recorded,
    because REPLICATION_STOPPED belongs before the LEFT of the same action.
    """
    return tuple(
        replication_id
        for replication_id, replication in publisher.replications.items()
        if replication_phase.ends_with(replication, publication_ended=publication_ended, cause=cause)
    )


def end_replications(
    draft: Draft, publisher_id: str, replication_ids: Iterable[str], *, cause: Cause, detail: str | None
) -> None:
    """Remove replications whose REPLICATION_STOPPED is recorded, and let their replicas leave.

    The facts to the destination sessions belong to the same transaction, so no crash can leave one end running.
    """
    for replication_id in replication_ids:
        destination = forget_replication(draft, publisher_id, replication_id)
        fact = ReplicaEnded(participant_id=publisher_id, replication_id=replication_id, cause=cause, detail=detail)
        draft.order(Forward(stage_arn=destination, fact=fact))


def forget_replication(draft: Draft, publisher_id: str, replication_id: str) -> str:
    """Remove a replication from its publisher; return the ARN of its destination stage."""
    publisher = draft.get(publisher_id)
    destination = publisher.replications[replication_id].destination.stage_arn
    remaining = {other: each for other, each in publisher.replications.items() if other != replication_id}
    draft.put(replace(publisher, replications=remaining))
    draft.order(CancelTimer(key=window_timer(replication_id)))
    return destination


def pause_replications(draft: Draft, publisher_id: str, *, cause: Cause, detail: str | None) -> None:
    """Let the remaining replications of a publisher that stopped wait for its return.

    Each gets the timer of its reconnect window. A replication that waits already keeps its timer: a publisher that
    returns and leaves without media must not extend the window.
    """
    publisher = draft.get(publisher_id)
    replications = dict(publisher.replications)
    for replication_id, replication in publisher.replications.items():
        paused = replication_phase.publisher_stopped(replication, at=draft.context.at)
        replications[replication_id] = paused
        if replication.phase is ReplicationPhase.LIVE and paused.deadline_ms is not None:
            elapsed = WindowElapsed(participant_id=publisher_id, replication_id=replication_id)
            draft.order(SetTimer(key=window_timer(replication_id), due_ms=paused.deadline_ms, fact=elapsed))
            fact = ReplicaPaused(participant_id=publisher_id, replication_id=replication_id, cause=cause, detail=detail)
            draft.order(Forward(stage_arn=replication.destination.stage_arn, fact=fact))
    if replications:
        draft.put(replace(publisher, replications=replications))


def resume_replications(draft: Draft, publisher_id: str, *, source_id: str) -> None:
    """Let the replicas that wait for a publisher publish again, with this source, and cancel their windows."""
    publisher = draft.get(publisher_id)
    replications = dict(publisher.replications)
    for replication_id, replication in publisher.replications.items():
        if replication.phase is ReplicationPhase.AWAITING:
            replications[replication_id] = replication_phase.publisher_returned(replication)
            draft.order(CancelTimer(key=window_timer(replication_id)))
            fact = ReplicaResumed(
                participant_id=publisher_id,
                replication_id=replication_id,
                source_id=source_id,
                mute=shown_mute(publisher),
            )
            draft.order(Forward(stage_arn=replication.destination.stage_arn, fact=fact))
    if replications:
        draft.put(replace(publisher, replications=replications))


def tell_mute(draft: Draft, publisher_id: str, *, before: MuteState) -> None:
    """Tell the replicas of a publisher the mute state that others are shown, if it is another one than before."""
    publisher = draft.get(publisher_id)
    mute = shown_mute(publisher)
    if mute == before:
        return
    for replication_id, replication in publisher.replications.items():
        fact = ReplicaMuteSet(participant_id=publisher_id, replication_id=replication_id, mute=mute)
        draft.order(Forward(stage_arn=replication.destination.stage_arn, fact=fact))


def window_timer(replication_id: str) -> str:
    """Return the key of the timer of a reconnect window."""
    return f"window:{replication_id}"

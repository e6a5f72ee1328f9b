"""The quotas of a stage, of an account and of a participant (user guide, "Service Quotas").

Each function of a quota returns None, or a sentence that names the quota that is reached. Attempts in progress count,
so that two offers at the same time cannot take the same last place.
"""

from stagebook.stage.errors import ServerBusyError
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.session_state import SessionParticipant, usage_of

MAX_OFFERS_IN_PROGRESS = 2
"""Offers of one participant that media engines answer at the same time.

An offer is the most expensive request of a participant. One in progress would be enough, but a publisher that
reconnects must not wait for the offer that it has given up."""


def offers_in_progress(participant: SessionParticipant | None) -> ServerBusyError | None:
    """Return the refusal of another offer of this participant, if it has too many in progress."""
    if participant is not None and len(participant.attempts) >= MAX_OFFERS_IN_PROGRESS:
        return ServerBusyError(f"the participant has {MAX_OFFERS_IN_PROGRESS} offers in progress already; try again")
    return None


def participants_quota(draft: Draft, participant: SessionParticipant | None) -> str | None:
    """Check the number of participants on the stage for one that joins."""
    if participant is not None and (participant.machine.connections or participant.attempts):
        return None
    usage, maximum = draft.base.usage, draft.context.limits.participants_per_stage
    if usage.present + usage.arriving >= maximum:
        return f"the stage is full: {maximum} participants"
    return None


def connections_quota(draft: Draft, participant: SessionParticipant | None, *, replaced: int = 0) -> str | None:
    """Check the number of connections of one participant. `replaced` of them end with the new one."""
    maximum = draft.context.limits.connections_per_participant + replaced
    if participant is not None and len(participant.machine.connections) + len(participant.attempts) >= maximum:
        return f"the participant has {maximum - replaced} connections already"
    return None


def publishers_quota(draft: Draft, participant: SessionParticipant | None) -> str | None:
    """Check the number of publishers of the stage and of the account. A publisher that reconnects counts once."""
    if participant is not None and usage_of(participant).publishers:
        # The replacement of its publication comes on top of its connections. `offers_in_progress` bounds its offers.
        return None
    limits = draft.context.limits
    if draft.base.usage.publishers >= limits.publishers_per_stage:
        return f"the stage has {limits.publishers_per_stage} publishers already"
    if draft.context.account_publishers >= limits.publishers_per_account:
        return f"the account has {limits.publishers_per_account} publishers already"
    return connections_quota(draft, participant)


def subscribers_quota(draft: Draft, participant: SessionParticipant | None, publisher_id: str) -> str | None:
    """Check the number of subscriptions of the stage, of the account, and of the participant to this publisher."""
    limits = draft.context.limits
    if draft.base.usage.subscribers >= limits.subscribers_per_stage:
        return f"the stage has {limits.subscribers_per_stage} subscribers already"
    if draft.context.account_subscribers >= limits.subscriptions_per_account:
        return f"the account has {limits.subscriptions_per_account} subscriptions already"
    if participant is not None and _subscriptions(participant, publisher_id) >= limits.subscriptions_per_publisher:
        return f"the participant watches this publisher {limits.subscriptions_per_publisher} times already"
    return connections_quota(draft, participant)


def _subscriptions(participant: SessionParticipant, publisher_id: str) -> int:
    """Count the subscriptions of a participant to a publisher, and its offers in progress."""
    connections = participant.machine.connections.values()
    return sum(connection.remote_participant_id == publisher_id for connection in connections) + sum(
        attempt.publisher_id == publisher_id for attempt in participant.attempts.values()
    )

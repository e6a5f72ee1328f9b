"""Whether there is room: the quotas of a stage, of an account and of a participant (user guide, "Service Quotas").

Pure questions to the live state. Each answers None, or one sentence that names the quota.
"""

from collections.abc import Callable
from typing import TypeAlias

from stagebook.manager.session.running_sessions import LiveParticipant, LiveSession, RunningSessions
from stagebook.stage.claims import Claims
from stagebook.stage.limits import Limits

Quota: TypeAlias = Callable[[Claims], str | None]


class Quotas:
    """The quotas, asked before an attempt and again before it is recorded."""

    def __init__(self, *, live: RunningSessions, limits: Limits) -> None:
        self._live = live
        self._limits = limits

    def to_join(self, claims: Claims) -> str | None:
        """Is there room for one more participant on the stage?"""
        session, live = self._find(claims)
        if session is None or (live is not None and live.machine.connections):
            return None
        if session.session.present >= self._limits.participants_per_stage:
            return f"the stage is full: {self._limits.participants_per_stage} participants"
        return None

    def to_connect(self, claims: Claims) -> str | None:
        """Is there room for one more connection of this participant?"""
        _, live = self._find(claims)
        if live is not None and len(live.machine.connections) >= self._limits.connections_per_participant:
            return f"the participant has {self._limits.connections_per_participant} connections already"
        return None

    def to_publish(self, claims: Claims) -> str | None:
        """Is there room for one more publisher? One who publishes already replaces itself."""
        session, live = self._find(claims)
        if session is None or (live is not None and live.machine.publication_id is not None):
            return None
        if session.publishers >= self._limits.publishers_per_stage:
            return f"the stage has {self._limits.publishers_per_stage} publishers already"
        if self._live.publishers_by_account[session.account_id] >= self._limits.publishers_per_account:
            return f"the account has {self._limits.publishers_per_account} publishers already"
        return self.to_connect(claims)

    def to_subscribe(self, claims: Claims) -> str | None:
        """Is there room for one more subscription?"""
        session, _ = self._find(claims)
        if session is None:
            return None
        if session.subscribers >= self._limits.subscribers_per_stage:
            return f"the stage has {self._limits.subscribers_per_stage} subscribers already"
        if self._live.subscriptions_by_account[session.account_id] >= self._limits.subscriptions_per_account:
            return f"the account has {self._limits.subscriptions_per_account} subscriptions already"
        return self.to_connect(claims)

    def _find(self, claims: Claims) -> tuple[LiveSession | None, LiveParticipant | None]:
        session = self._live.sessions.get(claims.stage_arn)
        return session, session.participants.get(claims.participant_id) if session else None

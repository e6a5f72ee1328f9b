"""What a test controls in decisions: the quotas of one participant's attempt, and the end of a stream's duration.

Both have real causes that need hundreds of participants or a day. The decision itself is the real one: its rules see a
quota that is met, or the timer that they have set.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.limits import Limits
from stagebook.stage.session.session_state import NO_USAGE


class DecisionControl:
    """Controls the decisions of one unit of work."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def system_time_ms(self) -> int:
        """Return the wall clock in milliseconds of Unix time, by which tokens expire."""
        return self._unit.system_time_ms()

    async def settled(self) -> None:
        """Wait until everything that was decided so far is durable and carried out."""
        await self._unit.settled()

    @contextmanager
    def reached_quotas(self, stage_arn: str, participant_id: str, *, of_joins: bool = False) -> Iterator[None]:
        """Decide the attempts of one participant as if its stage had all that the quotas allow.

        The quotas are those for publishers and subscriptions of the stage. With `of_joins` they are those that refuse a
        join: for participants of the stage, and for connections of the participant. What other participants do is
        decided with the real quotas.
        """
        pair = (stage_arn, participant_id)
        limits = self._reached_by_joins(*pair) if of_joins else self._reached_by_media(stage_arn)
        self._unit.rules = replace(self._unit.rules, lowered={**self._unit.rules.lowered, pair: limits})
        try:
            yield
        finally:
            rules = self._unit.rules
            self._unit.rules = replace(rules, lowered={key: kept for key, kept in rules.lowered.items() if key != pair})

    def _reached_by_media(self, stage_arn: str) -> Limits:
        session = self._unit.registry.sessions.get(stage_arn)
        usage = NO_USAGE if session is None else session.usage
        return replace(
            self._unit.rules.limits, publishers_per_stage=usage.publishers, subscribers_per_stage=usage.subscribers
        )

    def _reached_by_joins(self, stage_arn: str, participant_id: str) -> Limits:
        session = self._unit.registry.sessions.get(stage_arn)
        usage = NO_USAGE if session is None else session.usage
        participant = None if session is None else session.participants.get(participant_id)
        connections = 0 if participant is None else len(participant.machine.connections) + len(participant.attempts)
        return replace(
            self._unit.rules.limits,
            participants_per_stage=usage.present + usage.arriving,
            connections_per_participant=connections,
        )

    def elapse_duration(self, connection_id: str) -> bool:
        """Let the maximum duration of a media connection be over now.

        Returns whether the connection has a duration, as each does whose transport is connected.
        """
        timer = self._unit.timers.take(f"duration:{connection_id}")
        session = None if timer is None else self._unit.registry.sessions.get(timer.stage_arn)
        if timer is None or session is None:
            return False
        transaction = self._unit.begin()
        transaction.apply(session, timer.fact)
        transaction.commit()
        return True

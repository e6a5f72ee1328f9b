"""StartParticipantReplication and StopParticipantReplication (API reference, those pages).

The rules are in `stage/session/rules/replication_facts.py`. This service finds the two stages and commits the decisions
of both sessions in one transaction.
"""

from stagebook.book.decision_book import DecisionReader
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.ids import new_connection_id
from stagebook.stage.input_rules import check_attributes
from stagebook.stage.limits import Limits
from stagebook.stage.resources import Stage
from stagebook.stage.room_stages import require_no_room
from stagebook.stage.session.session_facts import ReplicationRequested, ReplicationStopRequested


class ReplicationService:
    """Starts and stops replications."""

    def __init__(
        self,
        *,
        book: DecisionReader,
        unit: UnitOfWork,
        authorization: Authorization,
        limits: Limits,
        randomness: Randomness,
    ) -> None:
        self._book = book
        self._unit = unit
        self._authorization = authorization
        self._limits = limits
        self._randomness = randomness

    async def start(
        self,
        *,
        source_stage_arn: str,
        destination_stage_arn: str,
        participant_id: str,
        window_seconds: int,
        attributes: dict[str, str],
    ) -> None:
        """Replicate a publisher of one stage to another (API reference, StartParticipantReplication).

        `window_seconds` is the reconnect window: how long the replication waits for a publisher that stopped.
        `attributes` are added to the participant's own and override them. Returns when it is durable. Raises
        InvalidInputError (equal stages, a stage of a LiveKit room, too many bytes of attributes), ResourceNotFoundError
        (a stage, the participant), ConflictError (it does not publish, is a replica, is replicated there already, or
        the destination has a participant with its id) and ServiceQuotaExceededError.
        """
        check_attributes(attributes, size_bytes=self._limits.attributes_size_bytes)
        if source_stage_arn == destination_stage_arn:
            raise InvalidInputError(member="destinationStageArn", rule="must not be the source stage")
        require_no_room(source_stage_arn, member="sourceStageArn")
        require_no_room(destination_stage_arn, member="destinationStageArn")
        await self._unit.entries.prepare((source_stage_arn, participant_id), (destination_stage_arn, participant_id))
        self._stage(source_stage_arn)
        destination = self._unit.session_of(self._stage(destination_stage_arn))
        source = self._unit.registry.sessions.get(source_stage_arn)
        if source is None or (
            participant_id not in source.participants
            and self._unit.entries.known_record(source, participant_id) is None
        ):
            raise ResourceNotFoundError(kind="participant", name=participant_id)
        fact = ReplicationRequested(
            participant_id=participant_id,
            replication_id=new_connection_id(self._randomness),
            destination_stage_arn=destination_stage_arn,
            destination_session_id=destination.session_id,
            window_seconds=window_seconds,
            attributes=attributes,
            known=self._unit.entries.known_record(destination, participant_id),
        )
        transaction = self._unit.begin()
        # The destination session can be new. Then it is not in the registry, and the forwarded fact finds it here.
        transaction.sessions[destination_stage_arn] = destination
        refusal = transaction.apply(source, fact)
        if refusal is not None:
            raise refusal
        await self._unit.wait(transaction.commit())

    async def stop(self, *, source_stage_arn: str, destination_stage_arn: str, participant_id: str) -> None:
        """End a replication; return when that is durable. Raises ResourceNotFoundError if none runs there."""
        self._stage(source_stage_arn)
        self._stage(destination_stage_arn)
        source = self._unit.registry.sessions.get(source_stage_arn)
        if source is None:
            raise ResourceNotFoundError(kind="replication of participant", name=participant_id)
        fact = ReplicationStopRequested(participant_id=participant_id, destination_stage_arn=destination_stage_arn)
        transaction = self._unit.begin()
        refusal = transaction.apply(source, fact)
        if refusal is not None:
            raise refusal
        await self._unit.wait(transaction.commit())

    def _stage(self, stage_arn: str) -> Stage:
        stage = self._book.get_stage(stage_arn)
        if stage is None or self._authorization.is_being_deleted(stage_arn):
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        return stage

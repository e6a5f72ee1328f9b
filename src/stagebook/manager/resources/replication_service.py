"""StartParticipantReplication and StopParticipantReplication: what must hold, and what is done then.

Source: those pages of the API reference, and "Participant Replication" of the user guide. Where they are silent:
the participant must be publishing, a replica cannot be replicated again, and replicas count as publishers of the
destination stage and of the account.
"""

from stagebook.book.changes import Change
from stagebook.book.store import BookReader
from stagebook.manager.participants.replicas import Replicas
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.session.running_sessions import LiveParticipant, LiveReplication, LiveSession
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import (
    ConflictError,
    InvalidInputError,
    ResourceNotFoundError,
    ServiceQuotaExceededError,
)
from stagebook.stage.events import Cause
from stagebook.stage.ids import new_connection_id
from stagebook.stage.input_rules import check_attributes
from stagebook.stage.limits import Limits
from stagebook.stage.replication import Replication
from stagebook.stage.resources import Stage


class ReplicationService:
    """Starts and stops replications at a caller's wish, and stops those that waited long enough."""

    def __init__(
        self,
        *,
        book: BookReader,
        ledger: UnitOfWork,
        replicas: Replicas,
        endings: Teardown,
        admission: Authorization,
        limits: Limits,
        randomness: Randomness,
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._replicas = replicas
        self._endings = endings
        self._admission = admission
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
        """Show a publisher of one stage on another; `window_seconds` is how long it may be away.

        `attributes` are laid over the participant's own. Raises InvalidInputError (the stages are one, too many bytes
        of attributes), ResourceNotFoundError (a stage, the participant), ConflictError (it does not publish, is a
        replica, is replicated there already, or somebody of its id is there) and ServiceQuotaExceededError.
        """
        check_attributes(attributes, size_bytes=self._limits.attributes_size_bytes)
        if source_stage_arn == destination_stage_arn:
            raise InvalidInputError(member="destinationStageArn", rule="must not be the source stage")
        self._stage(source_stage_arn)
        stage = self._stage(destination_stage_arn)
        source, publisher = self._publisher(source_stage_arn, participant_id)
        self._require_free_place(publisher, stage)
        self._require_room(publisher, stage)
        changes: list[Change] = []
        replication = LiveReplication(
            replication_id=new_connection_id(self._randomness),
            participant_id=participant_id,
            source=source,
            destination=self._ledger.session_of(stage.arn, stage.account_id, changes),
            state=Replication(window_seconds=window_seconds),
        )
        self._replicas.start(replication, {**publisher.record.attributes, **attributes}, changes)
        await self._ledger.commit(source, changes)

    async def stop(self, *, source_stage_arn: str, destination_stage_arn: str, participant_id: str) -> None:
        """End a replication. Raises ResourceNotFoundError when there is none that runs."""
        self._stage(source_stage_arn)
        self._stage(destination_stage_arn)
        session = self._ledger.live.sessions.get(source_stage_arn)
        publisher = session.participants.get(participant_id) if session else None
        replication = None if publisher is None else self._running(publisher, destination_stage_arn)
        if replication is None:
            raise ResourceNotFoundError(kind="replication of participant", name=participant_id)
        changes: list[Change] = []
        self._endings.stop_replication(replication, changes, cause=Cause.REPLICATION_API)
        await self._ledger.commit(replication.source, changes)

    def tick(self) -> None:
        """End the replications that waited for their publisher as long as their window is."""
        for replication in self._replicas.due():
            changes: list[Change] = []
            detail = f"the publisher was away for {replication.state.window_seconds} seconds"
            self._endings.stop_replication(replication, changes, cause=Cause.PUBLISHER_STOPPED, detail=detail)
            self._ledger.commit(replication.source, changes)

    def _stage(self, stage_arn: str) -> Stage:
        stage = self._book.get_stage(stage_arn)
        if stage is None or self._admission.is_being_deleted(stage_arn):
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        return stage

    def _publisher(self, stage_arn: str, participant_id: str) -> tuple[LiveSession, LiveParticipant]:
        session = self._ledger.live.sessions.get(stage_arn)
        live = session.participants.get(participant_id) if session else None
        if session is None or (
            live is None and self._book.get_participant(stage_arn, session.session_id, participant_id) is None
        ):
            raise ResourceNotFoundError(kind="participant", name=participant_id)
        if live is not None and live.virtual_id is not None:
            raise ConflictError(f"participant {participant_id} is a redundant stream: replicate {live.virtual_id}")
        if live is None or not live.machine.is_publishing:
            raise ConflictError(f"participant {participant_id} is not publishing")
        if live.machine.is_replica:
            raise ConflictError(f"participant {participant_id} is a replica: replicate it from its source stage")
        return session, live

    def _running(self, publisher: LiveParticipant, destination_stage_arn: str) -> LiveReplication | None:
        for replication in self._replicas.of(publisher):
            if replication.destination.stage_arn == destination_stage_arn:
                return replication
        return None

    def _require_free_place(self, publisher: LiveParticipant, destination: Stage) -> None:
        participant_id = publisher.record.participant_id
        if self._running(publisher, destination.arn) is not None:
            raise ConflictError(f"participant {participant_id} is replicated to that stage already")
        session = self._ledger.live.sessions.get(destination.arn)
        namesake = session.participants.get(participant_id) if session else None
        if namesake is not None and (namesake.machine.connections or namesake.machine.replications):
            raise ConflictError(f"the destination stage has a participant {participant_id} of its own")

    def _require_room(self, publisher: LiveParticipant, destination: Stage) -> None:
        live, limits = self._ledger.live, self._limits
        session = live.sessions.get(destination.arn)
        account_publishers = live.publishers_by_account[destination.account_id]
        for quota, used, maximum in (
            (
                "replications of a participant",
                len(publisher.machine.replications),
                limits.replications_per_participant,
            ),
            ("publishers of the destination stage", session.publishers if session else 0, limits.publishers_per_stage),
            (
                "participants of the destination stage",
                session.session.present if session else 0,
                limits.participants_per_stage,
            ),
            ("publishers of the account", account_publishers, limits.publishers_per_account),
        ):
            if used >= maximum:
                raise ServiceQuotaExceededError(quota=quota, maximum=maximum)

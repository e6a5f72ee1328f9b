"""Stages: CreateStage, UpdateStage, DeleteStage, and DisconnectParticipant (API reference, those pages)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from stagebook.book.changes import Change, DeleteStage, PutStage, RevokeParticipant
from stagebook.book.decision_book import DecisionReader
from stagebook.manager.recordings.recording_service import RecordingService
from stagebook.manager.resources.ingest_configuration_service import IngestConfigurationService
from stagebook.manager.resources.token_service import TokenService
from stagebook.manager.session.observed_rooms import ObservedRooms
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.arns import STAGE
from stagebook.stage.claims import MintedToken, TokenSpec
from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.events import Cause
from stagebook.stage.input_rules import check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.recording.recording_plan import check_recording, completed, recording_is_off, unknown_storage
from stagebook.stage.resources import Stage, StorageConfiguration
from stagebook.stage.room_stages import is_room_stage, require_no_room
from stagebook.stage.session.session_facts import ParticipantsDisconnected, SessionClosed


class StageService:
    """Serves the operations that change stages."""

    def __init__(
        self,
        *,
        book: DecisionReader,
        unit: UnitOfWork,
        authorization: Authorization,
        ingest: IngestConfigurationService,
        tokens: TokenService,
        limits: Limits,
        region: str,
        recordings: RecordingService,
        on_deleted: Callable[[str], None] = lambda _stage_arn: None,
    ) -> None:
        """`on_deleted` is called with the ARN of a stage whose deletion was submitted."""
        self._book = book
        self._unit = unit
        self._authorization = authorization
        self._ingest = ingest
        self._tokens = tokens
        self._limits = limits
        self._region = region
        self._recordings = recordings
        self._on_deleted = on_deleted
        self.rooms: ObservedRooms | None = None
        """The rooms of a LiveKit server that some stages show, if there are any."""
        # By account. The book counts the stages of an account once; then the number follows each change.
        self._counts: dict[str, int] = {}
        # A stage is read from the book and written back whole. One change at a time, or the later one loses the
        # earlier one. Tags of stages take the same lock.
        self.changing = asyncio.Lock()

    def find(self, stage_arn: str) -> Stage:
        """Return a stage as the book has it; raise ResourceNotFoundError if it does not exist or is being deleted."""
        stage = self._book.get_stage(stage_arn)
        if stage is None or self._authorization.is_being_deleted(stage_arn):
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        return stage

    async def create(
        self,
        *,
        account_id: str,
        name: str,
        tags: dict[str, str],
        recording: dict[str, Any],
        tokens: Sequence[TokenSpec],
    ) -> tuple[Stage, list[MintedToken]]:
        """Create a stage and mint its first tokens, in the order of `tokens`.

        All tokens are checked before the stage is created: a stage without the tokens that its caller asked for would
        be left behind otherwise. Raises InvalidInputError (tags, attributes) and ServiceQuotaExceededError.
        """
        check_tags(tags)
        arn = await self._unit.new_arn(region=self._region, account_id=account_id, resource_type=STAGE)
        self._check_recording(account_id, recording)
        for spec in tokens:
            self._tokens.check(spec)
        if self._count(account_id) >= self._limits.stages:
            raise ServiceQuotaExceededError(quota="stages", maximum=self._limits.stages)
        stage = Stage(
            arn=str(arn),
            account_id=account_id,
            name=name,
            created_ms=self._unit.now().wall_ms,
            tags=tags,
            recording=recording,
        )
        durable = self._unit.submit([PutStage(stage=stage)])
        self._counts[account_id] += 1
        await durable
        return stage, [self._tokens.mint(stage.arn, spec) for spec in tokens]

    def _check_recording(self, account_id: str, recording: Mapping[str, Any]) -> None:
        """Raise InvalidInputError if a recording configuration breaks a rule, or names no storage of the account. One
        that is valid and records lets the recorder start."""
        check_recording(recording)
        arn = recording.get("storageConfigurationArn", "")
        if not arn:
            return
        if not self._recordings.is_enabled:
            raise recording_is_off()
        storage = self._unit.pending.find(arn)
        # ARNs of resources are in the server's region.
        if not isinstance(storage, StorageConfiguration) or storage.account_id != account_id:
            raise unknown_storage()
        self._recordings.prepare()

    def _count(self, account_id: str) -> int:
        """Return how many stages the account has, including those whose creation is not durable yet."""
        known = self._counts.get(account_id)
        if known is None:
            known = self._counts[account_id] = self._book.count_stages(account_id)
        return known

    def note_created(self, account_id: str) -> None:
        """Count a stage whose creation was submitted by another part of the manager."""
        if account_id in self._counts:
            self._counts[account_id] += 1

    async def update(self, *, stage_arn: str, name: str | None, recording: dict[str, Any] | None) -> Stage:
        """Change the given members of a stage; None leaves one as it is.

        `recording` replaces the whole configuration: AWS has no way to change a part of it. Raises
        ResourceNotFoundError, InvalidInputError (recording), and ConflictError for another recording configuration
        while a participant of the stage is recorded.
        """
        async with self.changing:
            stage = self.find(stage_arn)
            if recording is not None and completed(recording) != completed(stage.recording):
                require_no_room(stage_arn, member="autoParticipantRecordingConfiguration")
                self._check_recording(stage.account_id, recording)
                self._recordings.require_idle(stage_arn)
            changed = replace(
                stage,
                name=stage.name if name is None else name,
                recording=stage.recording if recording is None else recording,
            )
            await self._unit.submit([PutStage(stage=changed)])
            return changed

    async def delete(self, *, stage_arn: str) -> None:
        """Delete a stage (API reference, DeleteStage).

        Raises ResourceNotFoundError, and ConflictError for a stage that shows a room of LiveKit which is open.

        One transaction disconnects all participants, ends the session and deletes the stage. Its ingest configurations
        are no longer attached then. Recorded sessions and events stay in the book.
        """
        async with self.changing:
            stage = self.find(stage_arn)
            if self.rooms is not None and self.rooms.live_session(stage_arn) is not None:
                raise ConflictError("the room that the stage shows is open: end it in LiveKit first")
            # Counted before the deletion is submitted: the book could show it before the count is corrected.
            self._count(stage.account_id)
            self._authorization.begin_deletion(stage_arn)
            try:
                transaction = self._unit.begin()
                session = self._unit.registry.sessions.get(stage_arn)
                if session is not None:
                    transaction.apply(session, SessionClosed(cause=Cause.STAGE_DELETED))
                transaction.add(DeleteStage(stage_arn=stage_arn, at_ms=transaction.at.wall_ms))
                durable = transaction.commit()
                self._on_deleted(stage_arn)
                await self._unit.wait(durable)
                self._counts[stage.account_id] -= 1
            finally:
                self._authorization.finish_deletion(stage_arn)

    async def disconnect_participant(self, *, stage_arn: str, participant_id: str, reason: str) -> None:
        """End all connections of a participant and keep it from returning, in one transaction.

        A participant with a token: its participant id is refused on this stage permanently, also if it never joined.
        A participant of an ingest configuration: the configuration is detached from the stage. `reason` is stored with
        the events. Raises ResourceNotFoundError for an unknown stage (API reference, DisconnectParticipant).

        A participant of a stage that shows a room of LiveKit is removed from the room. Each join of
        a room is another participant, so the id does not return. Raises ServerBusyError if LiveKit does not respond.
        """
        stage = self.find(stage_arn)
        if is_room_stage(stage_arn):
            if self.rooms is None:
                raise InvalidInputError(member="stageArn", rule="the LiveKit room of the stage is not observed")
            await self.rooms.disconnect(stage_arn, participant_id)
            return
        configuration = self._ingest.of_participant(stage.account_id, participant_id)
        if configuration is not None:
            await self._ingest.detach(configuration, stage_arn=stage_arn, participant_id=participant_id, detail=reason)
            return
        self._authorization.begin_revocation(stage_arn, participant_id)
        try:
            transaction = self._unit.begin()
            session = self._unit.registry.sessions.get(stage_arn)
            if session is not None:
                fact = ParticipantsDisconnected(
                    participant_ids=(participant_id,), cause=Cause.DISCONNECTED_BY_API, detail=reason or None
                )
                transaction.apply(session, fact)
            transaction.add(self._revocation(stage_arn, participant_id, reason, at_ms=transaction.at.wall_ms))
            await self._unit.wait(transaction.commit())
        finally:
            self._authorization.finish_revocation(stage_arn, participant_id)

    def _revocation(self, stage_arn: str, participant_id: str, reason: str, *, at_ms: int) -> Change:
        return RevokeParticipant(stage_arn=stage_arn, participant_id=participant_id, at_ms=at_ms, reason=reason)

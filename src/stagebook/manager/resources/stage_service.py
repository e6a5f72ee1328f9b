"""The resources: creating, changing and deleting stages, tags, and minting tokens."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from stagebook.book.changes import Change, DeleteStage, PutResource, PutStage, RevokeParticipant
from stagebook.book.store import Book, Durable
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.resources.ingest_configuration_service import IngestConfigurationService
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.manager.tokens.token_authority import TokenAuthority
from stagebook.stage.arns import stage_arn as build_stage_arn
from stagebook.stage.claims import DEFAULT_DURATION_MINUTES, Claims, MintedToken, TokenSpec
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ResourceNotFoundError, ServiceQuotaExceededError
from stagebook.stage.events import Cause
from stagebook.stage.ids import new_participant_id, new_resource_id
from stagebook.stage.input_rules import check_attributes, check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import Capability, Resource, Stage


class StageService:
    """Serves the resource operations; see StageManager for what each takes, gives and raises."""

    def __init__(
        self,
        *,
        book: Book,
        ledger: UnitOfWork,
        endings: Teardown,
        admission: Authorization,
        ingest: IngestConfigurationService,
        tokens: TokenAuthority,
        limits: Limits,
        region: str,
        randomness: Randomness,
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._endings = endings
        self._admission = admission
        self._ingest = ingest
        self._tokens = tokens
        self._limits = limits
        self._region = region
        self._randomness = randomness
        self._creating = 0
        # A stage is read from the book and written back whole: one change at a time, or the later loses the earlier.
        self._changing = asyncio.Lock()

    def _stage(self, stage_arn: str) -> Stage:
        stage = self._book.get_stage(stage_arn)
        if stage is None or self._admission.is_being_deleted(stage_arn):
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        return stage

    async def create_stage(
        self,
        *,
        account_id: str,
        name: str,
        tags: dict[str, str],
        recording: dict[str, Any],
        tokens: Sequence[TokenSpec],
    ) -> tuple[Stage, list[MintedToken]]:
        """Create a stage and mint its first tokens."""
        check_tags(tags)
        for spec in tokens:
            self._check_spec(spec)
        if self._book.count_stages(account_id) + self._creating >= self._limits.stages:
            raise ServiceQuotaExceededError(quota="stages", maximum=self._limits.stages)
        resource_id = new_resource_id(self._randomness)
        stage = Stage(
            arn=build_stage_arn(region=self._region, account_id=account_id, resource_id=resource_id),
            account_id=account_id,
            name=name,
            created_ms=self._ledger.now_ms(),
            tags=tags,
            recording=recording,
        )
        self._creating += 1
        try:
            await self._ledger.submit([PutStage(stage=stage)])
        finally:
            self._creating -= 1
        return stage, [self._mint(stage.arn, spec) for spec in tokens]

    async def update_stage(self, *, stage_arn: str, name: str | None, recording: dict[str, Any] | None) -> Stage:
        """Change what is given of a stage."""
        async with self._changing:
            stage = self._stage(stage_arn)
            changed = replace(
                stage,
                name=stage.name if name is None else name,
                recording=stage.recording if recording is None else recording,
            )
            await self._ledger.submit([PutStage(stage=changed)])
            return changed

    async def delete_stage(self, *, stage_arn: str) -> None:
        """End everything on a stage and delete it, in one transaction."""
        async with self._changing:
            stage = self._stage(stage_arn)
            self._admission.begin_deletion(stage_arn)
            try:
                changes: list[Change] = []
                session = self._ledger.live.sessions.get(stage_arn)
                if session is not None:
                    changes += self._endings.everybody_gone(session, cause=Cause.STAGE_DELETED)
                    changes += self._ledger.end(session, end_ms=self._ledger.now_ms())
                changes += self._ingest.clear_stage(stage.account_id, stage_arn)
                changes.append(DeleteStage(stage_arn=stage_arn, at_ms=self._ledger.now_ms()))
                # A replication's other end is on another stage, which goes on.
                await (self._ledger.submit(changes) if session is None else self._ledger.commit(session, changes))
            finally:
                self._admission.finish_deletion(stage_arn)

    async def create_participant_token(self, *, stage_arn: str, spec: TokenSpec) -> MintedToken:
        """Mint a token. Nothing is stored: the token itself is all there is."""
        self._stage(stage_arn)
        self._check_spec(spec)
        return self._mint(stage_arn, spec)

    def _check_spec(self, spec: TokenSpec) -> None:
        check_attributes(spec.attributes or {}, size_bytes=self._limits.attributes_size_bytes)

    def _mint(self, stage_arn: str, spec: TokenSpec) -> MintedToken:
        issued_at_seconds = self._ledger.now_ms() // 1000
        minutes = DEFAULT_DURATION_MINUTES if spec.duration_minutes is None else spec.duration_minutes
        claims = Claims(
            participant_id=new_participant_id(self._randomness),
            stage_arn=stage_arn,
            capabilities=frozenset(Capability) if spec.capabilities is None else frozenset(spec.capabilities),
            user_id=spec.user_id or "",
            attributes=spec.attributes or {},
            issued_at_seconds=issued_at_seconds,
            expires_at_seconds=issued_at_seconds + minutes * 60,
        )
        return MintedToken(
            participant_id=claims.participant_id,
            token=self._tokens.mint(claims),
            expiration_ms=claims.expires_at_seconds * 1000,
            spec=spec,
        )

    async def disconnect_participant(self, *, stage_arn: str, participant_id: str, reason: str) -> None:
        """End all connections of a participant and keep it out, in one transaction.

        Who came by a token has that token refused for good; who came by an ingest configuration is kept out by taking
        that configuration off the stage.
        """
        stage = self._stage(stage_arn)
        configuration = self._ingest.of_participant(stage.account_id, participant_id)
        if configuration is not None:
            changes = self._ingest.take_off_stage(stage_arn, configuration, detail=reason)
            await self._end(stage_arn, participant_id, changes, reason=reason)
            return
        self._admission.begin_revocation(stage_arn, participant_id)
        try:
            revoke = RevokeParticipant(
                stage_arn=stage_arn,
                participant_id=participant_id,
                at_ms=self._ledger.now_ms(),
                reason=reason,
            )
            await self._end(stage_arn, participant_id, [revoke], reason=reason)
        finally:
            self._admission.finish_revocation(stage_arn, participant_id)

    def _end(self, stage_arn: str, participant_id: str, changes: list[Change], *, reason: str) -> Durable:
        session = self._ledger.live.sessions.get(stage_arn)
        if session is None:
            return self._ledger.submit(changes)
        live = session.participants.get(participant_id)
        if live is not None and (live.machine.connections or live.machine.replications):
            changes += self._endings.gone(
                session,
                participant_id,
                tuple(live.machine.connections),
                cause=Cause.DISCONNECTED_BY_API,
                detail=reason or None,
            )
        return self._ledger.commit(session, changes)

    async def add_tags(self, *, arn: str, tags: dict[str, str]) -> None:
        """Add or replace tags."""
        async with self._changing:
            tagged = self._tagged(arn)
            merged = {**tagged.tags, **tags}
            check_tags(merged)
            await self._put_tags(tagged, merged)

    async def remove_tags(self, *, arn: str, keys: Sequence[str]) -> None:
        """Remove tags; keys that are not there are fine."""
        async with self._changing:
            tagged = self._tagged(arn)
            await self._put_tags(tagged, {key: value for key, value in tagged.tags.items() if key not in keys})

    def _tagged(self, arn: str) -> Stage | Resource:
        resource = self._ledger.shelf.find(arn)
        if resource is not None:
            return resource
        stage = self._book.get_stage(arn)
        if stage is None or self._admission.is_being_deleted(arn):
            raise ResourceNotFoundError(kind="resource", name=arn)
        return stage

    def _put_tags(self, tagged: Stage | Resource, tags: dict[str, str]) -> Durable:
        changed = replace(tagged, tags=tags)
        return self._ledger.submit(
            [PutStage(stage=changed) if isinstance(changed, Stage) else PutResource(resource=changed)]
        )

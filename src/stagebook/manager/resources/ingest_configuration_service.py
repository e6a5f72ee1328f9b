"""Ingest configurations: made, attached to stages and taken off them, and deleted.

A configuration is ACTIVE while a participant it brings in is connected; then it cannot be changed, and is deleted by
force only. Its participants are admitted by a stream key and the stage it is attached to, never by a token: so
disconnecting one takes the configuration off the stage instead of refusing the id for good, and attaching it again
lets the encoder back in. Knows no RTMP. Source: API reference, IngestConfiguration and the operations on it.
"""

import msgspec
from msgspec.structs import replace

from stagebook.book.changes import Change, DeleteResource, PutResource
from stagebook.book.store import Durable, Page
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.resources.ingest_configuration_index import IngestConfigurationIndex, participant_ids
from stagebook.manager.session.running_sessions import LiveParticipant, LiveSession
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.arns import Arn, parse_arn
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from stagebook.stage.events import Cause
from stagebook.stage.ids import new_participant_id, new_resource_id, new_stream_key
from stagebook.stage.input_rules import check_attributes, check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import IngestConfiguration, IngestCredential, IngestProtocol
from stagebook.stage.stream_keys import INGEST_CONFIGURATION

REDUNDANT_STREAMS = 2


class IngestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of a new configuration: the input of CreateIngestConfiguration."""

    ingest_protocol: IngestProtocol
    name: str = ""
    stage_arn: str = ""
    user_id: str = ""
    attributes: dict[str, str] = {}
    insecure_ingest: bool = False
    redundant_ingest: bool = False
    tags: dict[str, str] = {}


class IngestFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which configurations a list shows; None does not filter."""

    stage_arn: str | None = None
    active: bool | None = None


class IngestConfigurationService:
    """Serves the operations on ingest configurations, and tells stages and participants apart from them."""

    def __init__(
        self,
        *,
        ledger: UnitOfWork,
        endings: Teardown,
        admission: Authorization,
        index: IngestConfigurationIndex,
        limits: Limits,
        region: str,
        randomness: Randomness,
    ) -> None:
        self._ledger = ledger
        self._endings = endings
        self._admission = admission
        self._limits = limits
        self._region = region
        self._randomness = randomness
        self._index = index

    async def create(self, *, account_id: str, spec: IngestSpec) -> IngestConfiguration:
        """Make a configuration with a participant id and a stream key of its own.

        Raises InvalidInputError (tags, attributes, RTMP without `insecureIngest`, an unknown stage) and
        ServiceQuotaExceededError.
        """
        self._check(account_id, spec)
        self._ledger.shelf.require_room(account_id, INGEST_CONFIGURATION, maximum=self._limits.ingest_configurations)
        resource_id = new_resource_id(self._randomness)
        arn = Arn(
            region=self._region, account_id=account_id, resource_type=INGEST_CONFIGURATION, resource_id=resource_id
        )
        configuration = IngestConfiguration(
            arn=str(arn),
            account_id=account_id,
            created_ms=self._ledger.now_ms(),
            name=spec.name,
            tags=spec.tags,
            ingest_protocol=spec.ingest_protocol,
            insecure_ingest=spec.insecure_ingest,
            stage_arn=spec.stage_arn,
            participant_id=new_participant_id(self._randomness),
            stream_key=new_stream_key(arn, self._randomness),
            user_id=spec.user_id,
            attributes=spec.attributes,
            redundant_ingest=spec.redundant_ingest,
            redundant_credentials=self._new_credentials(arn) if spec.redundant_ingest else (),
        )
        await self._ledger.submit([self._put(None, configuration)])
        return configuration

    def _check(self, account_id: str, spec: IngestSpec) -> None:
        check_tags(spec.tags)
        check_attributes(spec.attributes, size_bytes=self._limits.attributes_size_bytes)
        if spec.ingest_protocol is IngestProtocol.RTMP and not spec.insecure_ingest:
            raise InvalidInputError(member="insecureIngest", rule="must be true when ingestProtocol is RTMP")
        if spec.stage_arn and not self._has_stage(account_id, spec.stage_arn):
            # The model of CreateIngestConfiguration has no ResourceNotFoundException.
            raise InvalidInputError(member="stageArn", rule="must be empty or name an existing stage of this account")

    def _has_stage(self, account_id: str, stage_arn: str) -> bool:
        stage = self._ledger.book.get_stage(stage_arn)
        return stage is not None and stage.account_id == account_id and not self._admission.is_being_deleted(stage_arn)

    def _new_credentials(self, arn: Arn) -> tuple[IngestCredential, ...]:
        return tuple(
            IngestCredential(
                participant_id=new_participant_id(self._randomness), stream_key=new_stream_key(arn, self._randomness)
            )
            for _ in range(REDUNDANT_STREAMS)
        )

    def _put(self, before: IngestConfiguration | None, after: IngestConfiguration) -> Change:
        self._index.change(before, after)
        return PutResource(resource=after)

    async def update(self, *, arn: str, stage_arn: str | None, redundant_ingest: bool | None) -> IngestConfiguration:
        """Attach a configuration to a stage ("" takes it off), or switch its redundant streams; None leaves a thing.

        Streams that are switched off lose their keys for good; switched on again they get new ones. A replication that
        waits for its publisher on the former stage ends: it will not come back there. Raises ResourceNotFoundError
        (configuration or stage) and ConflictError while it is ACTIVE.
        """
        before = self._find(arn)
        if self.is_active(before):
            raise ConflictError(f"ingest configuration {arn} is ACTIVE and cannot be updated")
        if stage_arn and not self._has_stage(before.account_id, stage_arn):
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        after = before if stage_arn is None else replace(before, stage_arn=stage_arn)
        if redundant_ingest is not None and redundant_ingest is not before.redundant_ingest:
            credentials = self._new_credentials(parse_arn(arn)) if redundant_ingest else ()
            after = replace(after, redundant_ingest=redundant_ingest, redundant_credentials=credentials)
        if after.stage_arn == before.stage_arn:
            await self._ledger.submit([self._put(before, after)])
        else:
            await self._leave_stage(before, self._put(before, after), detail="its ingest configuration was moved")
        return after

    async def delete(self, *, arn: str, force: bool) -> None:
        """Delete a configuration; by force also an ACTIVE one, whose participants are disconnected first.

        Raises ResourceNotFoundError, and ConflictError for an ACTIVE one without force.
        """
        configuration = self._find(arn)
        if self.is_active(configuration) and not force:
            raise ConflictError(f"ingest configuration {arn} is ACTIVE: stop its publisher or delete it by force")
        self._index.change(configuration, None)
        await self._leave_stage(configuration, DeleteResource(arn=arn), detail="its ingest configuration was deleted")

    def _leave_stage(self, configuration: IngestConfiguration, change: Change, *, detail: str) -> Durable:
        """Record a change of a configuration with the end of all that it brought to its stage."""
        session = self._ledger.live.sessions.get(configuration.stage_arn)
        if session is None:
            return self._ledger.submit([change])
        return self._ledger.commit(session, [*self._disconnect(session, configuration, detail=detail), change])

    def page(self, account_id: str, *, where: IngestFilter, after: int | None, limit: int) -> Page[IngestConfiguration]:
        """Return configurations of an account that match, in order of creation."""
        found: list[IngestConfiguration] = []
        while True:
            # Never more than is still wanted: so the page's own position is the one to continue after.
            page = self._ledger.book.list_resources(
                account_id, INGEST_CONFIGURATION, after=after, limit=limit - len(found)
            )
            found += [
                resource
                for resource in page.items
                if isinstance(resource, IngestConfiguration) and self._matches(resource, where)
            ]
            after = page.next_position
            if after is None or len(found) >= limit:
                return Page(items=found, next_position=after)

    def _matches(self, configuration: IngestConfiguration, where: IngestFilter) -> bool:
        return (where.stage_arn is None or configuration.stage_arn == where.stage_arn) and (
            where.active is None or self.is_active(configuration) is where.active
        )

    def is_active(self, configuration: IngestConfiguration) -> bool:
        """Return whether a participant that comes in by this configuration is connected to its stage."""
        session = self._ledger.live.sessions.get(configuration.stage_arn)
        return session is not None and any(live.machine.connections for _, live in _of(session, configuration))

    def of_participant(self, account_id: str, participant_id: str) -> IngestConfiguration | None:
        """Return the configuration that brings in this participant, whatever stage it is attached to; or None."""
        arn = self._index.of_participant(account_id, participant_id)
        return None if arn is None else self._find(arn)

    def take_off_stage(self, stage_arn: str, configuration: IngestConfiguration, *, detail: str) -> list[Change]:
        """Disconnect what a configuration brought to a stage and clear its `stageArn`; return the changes to commit.

        One that is not attached to this stage is left alone.
        """
        if configuration.stage_arn != stage_arn:
            return []
        session = self._ledger.live.sessions.get(stage_arn)
        changes = [] if session is None else self._disconnect(session, configuration, detail=detail)
        return [*changes, self._put(configuration, replace(configuration, stage_arn=""))]

    def clear_stage(self, account_id: str, stage_arn: str) -> list[Change]:
        """Clear the `stageArn` of every configuration of a stage that is about to go; return the changes to commit."""
        attached = [self._find(arn) for arn in self._index.of_stage(account_id, stage_arn)]
        return [self._put(configuration, replace(configuration, stage_arn="")) for configuration in attached]

    def _disconnect(self, session: LiveSession, configuration: IngestConfiguration, *, detail: str) -> list[Change]:
        changes: list[Change] = []
        for participant_id, live in _of(session, configuration):
            # None are left where one ended with another: the virtual participant with the last that feeds it.
            connection_ids = tuple(live.machine.connections)
            changes += self._endings.gone(
                session, participant_id, connection_ids, cause=Cause.DISCONNECTED_BY_API, detail=detail or None
            )
        return changes

    def _find(self, arn: str) -> IngestConfiguration:
        resource = self._ledger.shelf.find(arn)
        if not isinstance(resource, IngestConfiguration):
            raise ResourceNotFoundError(kind="ingest configuration", name=arn)
        return resource


def _of(session: LiveSession, configuration: IngestConfiguration) -> list[tuple[str, LiveParticipant]]:
    """Return whom a configuration brought in, with their ids; also who is away while a replication waits for it."""
    return [
        (participant_id, live)
        for participant_id in participant_ids(configuration)
        if (live := session.participants.get(participant_id)) is not None and live.claims.ingest is not None
    ]

"""Ingest configurations: created, attached to stages and detached, deleted (API reference, IngestConfiguration).

A configuration is ACTIVE while one of its participants is connected. Then it cannot be changed, and deleted only by
force. Its participants are admitted by a stream key and the stage that it is attached to, never by a token. So
disconnecting one of them detaches the configuration, instead of refusing the participant id permanently. The encoder
can publish again once the configuration is attached again.

The rows of a stage's configurations stay as they are when the stage is deleted, because there can be any number of
them: a configuration whose stage no longer exists is not attached. ARNs of stages are never used again.
"""

from functools import partial

import msgspec
from msgspec.structs import replace

from stagebook.book.book_values import Page
from stagebook.book.changes import Change, DeleteResource, PutResource
from stagebook.book.store import BookReader
from stagebook.manager.resources.ingest_configuration_index import IngestConfigurationIndex, participant_ids
from stagebook.manager.session.transaction import Transaction
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.arns import INGEST_CONFIGURATION, Arn, parse_arn
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import ConflictError, InvalidInputError, ResourceNotFoundError
from stagebook.stage.events import Cause
from stagebook.stage.ids import new_participant_id, new_stream_key
from stagebook.stage.input_rules import check_attributes, check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import IngestConfiguration, IngestCredential, IngestProtocol, Resource
from stagebook.stage.session.session_facts import ParticipantsDisconnected
from stagebook.stage.session.session_state import Session

REDUNDANT_STREAMS = 2
ROWS_PER_PAGE = 500
"""How many configurations one request reads to find those that match its filter: about 10 ms of the event loop."""


class IngestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The input of CreateIngestConfiguration."""

    ingest_protocol: IngestProtocol
    name: str = ""
    stage_arn: str = ""
    user_id: str = ""
    attributes: dict[str, str] = {}
    insecure_ingest: bool = False
    redundant_ingest: bool = False
    tags: dict[str, str] = {}


class IngestFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of ListIngestConfigurations; None does not filter."""

    stage_arn: str | None = None
    active: bool | None = None


class IngestConfigurationService:
    """Serves the operations on ingest configurations."""

    def __init__(
        self,
        *,
        unit: UnitOfWork,
        authorization: Authorization,
        index: IngestConfigurationIndex,
        limits: Limits,
        region: str,
        randomness: Randomness,
    ) -> None:
        self._unit = unit
        self._authorization = authorization
        self._limits = limits
        self._region = region
        self._randomness = randomness
        self._index = index

    async def create(self, *, account_id: str, spec: IngestSpec) -> IngestConfiguration:
        """Create a configuration with its own participant id and stream key.

        Raises InvalidInputError (tags, attributes, RTMP without `insecureIngest`, an unknown stage) and
        ServiceQuotaExceededError.
        """
        arn = await self._unit.new_arn(region=self._region, account_id=account_id, resource_type=INGEST_CONFIGURATION)
        self._check(account_id, spec)
        self._unit.pending.require_quota(account_id, INGEST_CONFIGURATION, maximum=self._limits.ingest_configurations)
        configuration = IngestConfiguration(
            arn=str(arn),
            account_id=account_id,
            created_ms=self._unit.now().wall_ms,
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
        await self._unit.submit([self._put(None, configuration)])
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
        return parse_arn(stage_arn).account_id == account_id and self._authorization.has_stage(stage_arn)

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
        """Attach a configuration to a stage ("" detaches it), or switch redundant ingest; None leaves it as it is.

        Redundant streams that are switched off lose their keys permanently; switched on again they get new ones. A
        replication that waits for a publisher on the former stage ends, because the publisher will not return there.

        Raises ResourceNotFoundError (configuration or stage) and ConflictError while it is ACTIVE.
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
            await self._unit.submit([self._put(before, after)])
        else:
            await self._leave_stage(before, self._put(before, after), detail="its ingest configuration was moved")
        return after

    async def delete(self, *, arn: str, force: bool) -> None:
        """Delete a configuration; with `force` also an ACTIVE one, whose participants are disconnected.

        Raises ResourceNotFoundError, and ConflictError for an ACTIVE one without force.
        """
        configuration = self._find(arn)
        if self.is_active(configuration) and not force:
            raise ConflictError(f"ingest configuration {arn} is ACTIVE: stop its publisher or delete it by force")
        self._index.change(configuration, None)
        await self._leave_stage(configuration, DeleteResource(arn=arn), detail="its ingest configuration was deleted")

    async def _leave_stage(self, configuration: IngestConfiguration, change: Change, *, detail: str) -> None:
        """Commit a change of a configuration together with the end of its participants on its stage."""
        transaction = self._unit.begin()
        self._disconnect(transaction, configuration, detail=detail)
        transaction.add(change)
        await self._unit.wait(transaction.commit())

    def get(self, arn: str) -> IngestConfiguration:
        """Return a configuration as the book has it. Raises ResourceNotFoundError."""
        return self._shown(_require(arn, self._unit.book.get_resource(arn)))

    async def page(
        self, account_id: str, *, where: IngestFilter, after: int | None, limit: int
    ) -> Page[IngestConfiguration]:
        """Return a page of the account's configurations that match, in order of creation.

        At most `ROWS_PER_PAGE` configurations are read. A page can therefore have fewer items than `limit`, or none,
        and still have a next position, as pages of filtered lists of AWS do.
        """
        if where.stage_arn is not None and self._unit.book.get_stage(where.stage_arn) is None:
            return Page(items=[], next_position=None)
        found: list[IngestConfiguration] = []
        unread = max(limit, ROWS_PER_PAGE)
        while True:
            # Never read more than is missing: then the position of the last page is the one to continue after.
            rows = min(limit - len(found), unread)
            read = partial(_read_page, account_id=account_id, after=after, limit=rows)
            page = await self._unit.book.read(account_id, read)
            found += [
                self._shown(resource)
                for resource in page.items
                if isinstance(resource, IngestConfiguration) and self._matches(resource, where)
            ]
            after = page.next_position
            unread -= rows
            if after is None or len(found) >= limit or unread == 0:
                return Page(items=found, next_position=after)

    def _matches(self, configuration: IngestConfiguration, where: IngestFilter) -> bool:
        return (where.stage_arn is None or configuration.stage_arn == where.stage_arn) and (
            where.active is None or self.is_active(configuration) is where.active
        )

    def is_active(self, configuration: IngestConfiguration) -> bool:
        """Return whether the state is ACTIVE: a participant of the configuration is connected to its stage."""
        session = self._unit.registry.sessions.get(configuration.stage_arn)
        return session is not None and any(
            session.participants[participant_id].machine.connections
            for participant_id in _present(session, configuration)
        )

    def of_participant(self, account_id: str, participant_id: str) -> IngestConfiguration | None:
        """Return the configuration that a participant id belongs to, whatever stage it is attached to; or None."""
        arn = self._index.of_participant(account_id, participant_id)
        return None if arn is None else self._find(arn)

    async def detach(
        self, configuration: IngestConfiguration, *, stage_arn: str, participant_id: str, detail: str
    ) -> None:
        """Disconnect the participants of a configuration from a stage and clear its `stageArn`, in one transaction.

        A configuration that is attached to another stage stays as it is; then only `participant_id` is disconnected.
        """
        transaction = self._unit.begin()
        if configuration.stage_arn == stage_arn:
            self._disconnect(transaction, configuration, detail=detail)
            transaction.add(self._put(configuration, replace(configuration, stage_arn="")))
        else:
            session = self._unit.registry.sessions.get(stage_arn)
            if session is not None:
                fact = ParticipantsDisconnected(
                    participant_ids=(participant_id,), cause=Cause.DISCONNECTED_BY_API, detail=detail or None
                )
                transaction.apply(session, fact)
        await self._unit.wait(transaction.commit())

    def _disconnect(self, transaction: Transaction, configuration: IngestConfiguration, *, detail: str) -> None:
        session = self._unit.registry.sessions.get(configuration.stage_arn)
        present = () if session is None else _present(session, configuration)
        if session is not None and present:
            fact = ParticipantsDisconnected(
                participant_ids=present, cause=Cause.DISCONNECTED_BY_API, detail=detail or None
            )
            transaction.apply(session, fact)

    def _find(self, arn: str) -> IngestConfiguration:
        """Return the newest state of a configuration, for a decision. Raises ResourceNotFoundError."""
        configuration = _require(arn, self._unit.pending.find(arn))
        is_attached = not configuration.stage_arn or self._authorization.has_stage(configuration.stage_arn)
        return configuration if is_attached else replace(configuration, stage_arn="")

    def _shown(self, configuration: IngestConfiguration) -> IngestConfiguration:
        """Return a configuration of the book without a stage that is deleted."""
        is_attached = not configuration.stage_arn or self._unit.book.get_stage(configuration.stage_arn) is not None
        return configuration if is_attached else replace(configuration, stage_arn="")


def _read_page(reader: BookReader, *, account_id: str, after: int | None, limit: int) -> Page[Resource]:
    return reader.list_resources(account_id, INGEST_CONFIGURATION, after=after, limit=limit)


def _require(arn: str, resource: Resource | None) -> IngestConfiguration:
    if not isinstance(resource, IngestConfiguration):
        raise ResourceNotFoundError(kind="ingest configuration", name=arn)
    return resource


def _present(session: Session, configuration: IngestConfiguration) -> tuple[str, ...]:
    """Return the ids of a configuration's participants in a session, also of one that a replication waits for."""
    return tuple(
        participant_id
        for participant_id in participant_ids(configuration)
        if (participant := session.participants.get(participant_id)) is not None
        and participant.claims.ingest is not None
    )

"""CreateIngestConfiguration, GetIngestConfiguration, ListIngestConfigurations, UpdateIngestConfiguration,
DeleteIngestConfiguration (API reference, IngestConfiguration)."""

from collections.abc import Mapping
from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.manager.resources.ingest_configuration_service import IngestFilter, IngestSpec
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError
from stagebook.stage.resources import IngestConfiguration, IngestProtocol

_ACTIVE, _INACTIVE = "ACTIVE", "INACTIVE"


class IngestConfigurationOperations:
    """The operations on ingest configurations."""

    def __init__(self, manager: StageManager, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return them for the door's table."""
        return (
            Operation(name="CreateIngestConfiguration", handle=self.create),
            Operation(name="GetIngestConfiguration", handle=self.get, resource_member="arn"),
            Operation(name="ListIngestConfigurations", handle=self.list),
            Operation(name="UpdateIngestConfiguration", handle=self.update, resource_member="arn"),
            Operation(name="DeleteIngestConfiguration", handle=self.delete, resource_member="arn"),
        )

    async def create(self, call: Call) -> Result:
        """Make a configuration; its participant id and stream key are given here and stay."""
        request = call.request
        spec = IngestSpec(
            # The protocol is taken in small letters too: the documented command of the AWS CLI sends it so.
            ingest_protocol=IngestProtocol(request["ingestProtocol"].upper()),
            name=request.get("name", ""),
            stage_arn=request.get("stageArn", ""),
            user_id=request.get("userId", ""),
            attributes=request.get("attributes", {}),
            insecure_ingest=request.get("insecureIngest", False),
            redundant_ingest=request.get("redundantIngest", False),
            tags=request.get("tags", {}),
        )
        configuration = await self._manager.ingest_configurations.create(account_id=call.caller.account_id, spec=spec)
        return {"ingestConfiguration": self._show(configuration)}

    def get(self, call: Call) -> Result:
        """Show one configuration with its stream keys; ResourceNotFoundError when there is none."""
        arn = call.request["arn"]
        configuration = self._manager.book.get_resource(arn)
        if not isinstance(configuration, IngestConfiguration):
            raise ResourceNotFoundError(kind="ingest configuration", name=arn)
        return {"ingestConfiguration": self._show(configuration)}

    def list(self, call: Call) -> Result:
        """Show the account's configurations that match, in order of creation, in short and without stream keys."""
        page = self._manager.ingest_configurations.page(
            call.caller.account_id,
            where=_filter(call.request),
            after=self._page_tokens.open("ListIngestConfigurations", call),
            limit=page_size(call),
        )
        return {
            "ingestConfigurations": [self._summary(configuration) for configuration in page.items],
            "nextToken": self._page_tokens.seal("ListIngestConfigurations", call, page.next_position),
        }

    async def update(self, call: Call) -> Result:
        """Attach a configuration to a stage, take it off (`""`), or switch its redundant streams."""
        configuration = await self._manager.ingest_configurations.update(
            arn=call.request["arn"],
            stage_arn=call.request.get("stageArn"),
            redundant_ingest=call.request.get("redundantIngest"),
        )
        return {"ingestConfiguration": self._show(configuration)}

    async def delete(self, call: Call) -> Result:
        """Delete a configuration; `force` disconnects its publisher first."""
        await self._manager.ingest_configurations.delete(
            arn=call.request["arn"], force=call.request.get("force", False)
        )
        return {}

    def _summary(self, configuration: IngestConfiguration) -> dict[str, Any]:
        """Return shape IngestConfigurationSummary."""
        is_active = self._manager.ingest_configurations.is_active(configuration)
        return {
            "name": configuration.name,
            "arn": configuration.arn,
            "ingestProtocol": configuration.ingest_protocol,
            "stageArn": configuration.stage_arn,
            "participantId": configuration.participant_id,
            "state": _ACTIVE if is_active else _INACTIVE,
            "userId": configuration.user_id,
            "redundantIngest": configuration.redundant_ingest,
        }

    def _show(self, configuration: IngestConfiguration) -> dict[str, Any]:
        """Return shape IngestConfiguration; the redundant credentials only while redundant ingest is on."""
        credentials = [
            {"participantId": credential.participant_id, "streamKey": credential.stream_key}
            for credential in configuration.redundant_credentials
        ]
        return {
            **self._summary(configuration),
            "streamKey": configuration.stream_key,
            "redundantIngestCredentials": credentials or None,
            "attributes": configuration.attributes,
            "tags": configuration.tags,
        }


def _filter(request: Mapping[str, Any]) -> IngestFilter:
    """Return the one filter of a list; raise InvalidInputError for both (API reference, ListIngestConfigurations)."""
    if "filterByStageArn" in request and "filterByState" in request:
        rule = "cannot be given together with filterByStageArn: only one filter"
        raise InvalidInputError(member="filterByState", rule=rule)
    state = request.get("filterByState")
    return IngestFilter(stage_arn=request.get("filterByStageArn"), active=None if state is None else state == _ACTIVE)

"""CreateIngestConfiguration, GetIngestConfiguration, ListIngestConfigurations, UpdateIngestConfiguration,
DeleteIngestConfiguration (API reference, IngestConfiguration)."""

from collections.abc import Mapping
from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.manager.resources.ingest_configuration_service import IngestFilter, IngestSpec
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.errors import InvalidInputError
from stagebook.stage.resources import IngestConfiguration, IngestProtocol

_ACTIVE, _INACTIVE = "ACTIVE", "INACTIVE"


class IngestConfigurationOperations:
    """The operations on ingest configurations."""

    def __init__(self, manager: StageManager, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="CreateIngestConfiguration", handle=self.create),
            Operation(name="GetIngestConfiguration", handle=self.get, resource_member="arn"),
            Operation(name="ListIngestConfigurations", handle=self.list),
            Operation(name="UpdateIngestConfiguration", handle=self.update, resource_member="arn"),
            Operation(name="DeleteIngestConfiguration", handle=self.delete, resource_member="arn"),
        )

    async def create(self, call: Call) -> Result:
        """Create a configuration with a new participant id and stream key, which never change."""
        request = call.request
        spec = IngestSpec(
            # Lower case is accepted as well, because the example of the AWS CLI reference sends it.
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

    async def get(self, call: Call) -> Result:
        """Return one configuration with its stream keys; ResourceNotFoundError when it does not exist."""
        configuration = self._manager.ingest_configurations.get(call.request["arn"])
        return {"ingestConfiguration": self._show(configuration)}

    async def list(self, call: Call) -> Result:
        """Return summaries, without stream keys, of the account's matching configurations, in order of creation."""
        page = await self._manager.ingest_configurations.page(
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
        """Attach a configuration to a stage, detach it (`stageArn` `""`), or switch redundant ingest on or off."""
        configuration = await self._manager.ingest_configurations.update(
            arn=call.request["arn"],
            stage_arn=call.request.get("stageArn"),
            redundant_ingest=call.request.get("redundantIngest"),
        )
        return {"ingestConfiguration": self._show(configuration)}

    async def delete(self, call: Call) -> Result:
        """Delete a configuration. With `force`, its publisher is disconnected first."""
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
        """Return shape IngestConfiguration. There are redundant credentials only while redundant ingest is on."""
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
    """Return the filter of a list; InvalidInputError for more than one (API reference, ListIngestConfigurations)."""
    if "filterByStageArn" in request and "filterByState" in request:
        rule = "cannot be given together with filterByStageArn: only one filter"
        raise InvalidInputError(member="filterByState", rule=rule)
    state = request.get("filterByState")
    return IngestFilter(stage_arn=request.get("filterByStageArn"), active=None if state is None else state == _ACTIVE)

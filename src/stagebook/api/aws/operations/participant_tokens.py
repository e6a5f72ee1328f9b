"""CreateParticipantToken (API reference, CreateParticipantToken and ParticipantTokenConfiguration)."""

from collections.abc import Mapping
from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.claims import MintedToken, TokenSpec
from stagebook.stage.resources import Capability


class ParticipantTokenOperations:
    """The operation on participant tokens: they are made here and kept nowhere."""

    def __init__(self, manager: StageManager) -> None:
        self._manager = manager

    def operations(self) -> tuple[Operation, ...]:
        """Return it for the door's table."""
        return (Operation(name="CreateParticipantToken", handle=self.create, resource_member="stageArn"),)

    async def create(self, call: Call) -> Result:
        """Make a token for one participant of a stage; InvalidInputError when its attributes are too large."""
        token = await self._manager.create_participant_token(
            stage_arn=call.request["stageArn"], spec=token_spec(call.request)
        )
        return {"participantToken": show_token(token)}


def token_spec(configuration: Mapping[str, Any]) -> TokenSpec:
    """Return what a caller asks of a new token.

    An empty list of capabilities asks for both, as an absent one does: clients whose lists cannot be absent send it so.
    """
    capabilities = configuration.get("capabilities")
    return TokenSpec(
        duration_minutes=configuration.get("duration"),
        user_id=configuration.get("userId"),
        attributes=configuration.get("attributes"),
        capabilities=None if capabilities is None else tuple(map(Capability, capabilities or Capability)),
    )


def show_token(token: MintedToken) -> dict[str, Any]:
    """Return shape ParticipantToken: the new token, and each thing the caller asked for."""
    spec = token.spec
    return {
        "participantId": token.participant_id,
        "token": token.token,
        "expirationTime": token.expiration_ms,
        "duration": spec.duration_minutes,
        "userId": spec.user_id,
        "attributes": spec.attributes,
        "capabilities": None if spec.capabilities is None else list(spec.capabilities),
    }

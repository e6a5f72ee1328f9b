"""CreateParticipantToken (API reference, CreateParticipantToken and ParticipantTokenConfiguration)."""

from collections.abc import Mapping
from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.claims import MintedToken, TokenSpec
from stagebook.stage.resources import Capability


class ParticipantTokenOperations:
    """The operation on participant tokens. The server signs them and does not store them."""

    def __init__(self, manager: StageManager) -> None:
        self._manager = manager

    def operations(self) -> tuple[Operation, ...]:
        """Return the operation on this kind of resource."""
        return (Operation(name="CreateParticipantToken", handle=self.create, resource_member="stageArn"),)

    async def create(self, call: Call) -> Result:
        """Create a token for a new participant of a stage; InvalidInputError when its attributes are too large."""
        token = self._manager.tokens.create(stage_arn=call.request["stageArn"], spec=token_spec(call.request))
        return {"participantToken": show_token(token)}


def token_spec(configuration: Mapping[str, Any]) -> TokenSpec:
    """Return the requested properties of a new token.

    An empty list of capabilities is treated as absent, because clients in some languages cannot leave out a list.
    """
    capabilities = configuration.get("capabilities")
    return TokenSpec(
        duration_minutes=configuration.get("duration"),
        user_id=configuration.get("userId"),
        attributes=configuration.get("attributes"),
        capabilities=None if capabilities is None else tuple(map(Capability, capabilities or Capability)),
    )


def show_token(token: MintedToken) -> dict[str, Any]:
    """Return shape ParticipantToken. Of the optional members, only those in the request are returned."""
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

"""The backend of an application: it imports a public key and signs participant and connection tokens itself."""

from typing import Any

from tests.clients.own_key import OwnKey, Payload, connection_payload, participant_payload


class Backend:
    """Signs tokens for the stages of a server."""

    def __init__(self, ivs: Any) -> None:  # noqa: ANN401 - a boto3 client
        self.key = OwnKey()
        self.key.arn = ivs.import_public_key(publicKeyMaterial=self.key.public_pem)["publicKey"]["arn"]
        self._ivs = ivs

    def token(self, stage_arn: str, participant_id: str, *capabilities: str, **changes: object) -> str:
        """Return a participant token for a stage. `changes` replace members of its payload."""
        allowed = {f"allow_{capability.lower()}": True for capability in capabilities}
        payload: Payload = {"jti": participant_id, "capabilities": allowed, **changes}
        endpoints = self._ivs.get_stage(arn=stage_arn)["stage"]["endpoints"]
        return self.key.sign(
            participant_payload(stage_arn, payload, whip_url=endpoints["whip"], events_url=endpoints["events"])
        )

    def connection_token(self, stage_arn: str, token_id: str, **changes: object) -> str:
        """Return a connection token for the account and region of a stage. `changes` replace members of its payload."""
        _, _, _, region, account_id, _ = stage_arn.split(":")
        endpoints = self._ivs.get_stage(arn=stage_arn)["stage"]["endpoints"]
        return self.key.sign(
            connection_payload(
                {"jti": token_id, **changes}, account_id=account_id, region=region, events_url=endpoints["events"]
            )
        )

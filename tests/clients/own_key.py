"""A key pair for self-signed tokens, and the payloads of such tokens (IVS user guide, "Distribute Tokens")."""

import json
import time
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

Payload: TypeAlias = dict[str, Any]


class OwnKey:
    """A P-384 key pair. `public_pem` is the parameter of ImportPublicKey, `arn` the ARN that it returned."""

    def __init__(self, arn: str = "") -> None:
        self.private = ec.generate_private_key(ec.SECP384R1())
        self.arn = arn

    @property
    def public_pem(self) -> str:
        """The public key as PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form).decode("ascii")

    def sign(self, payload: object, **header: object) -> str:
        """Return a signed token with this payload. `header` replaces members of the JOSE header."""
        headers = {"kid": self.arn, **header}
        return jwt.PyJWS().encode(json.dumps(payload).encode(), self.private, algorithm="ES384", headers=headers)


def participant_payload(
    stage_arn: str, changes: Payload, *, whip_url: str, events_url: str, now_seconds: int | None = None
) -> Payload:
    """Return a valid payload of a participant token with `changes`. A member that is changed to None is left out."""
    issued = int(time.time()) if now_seconds is None else now_seconds
    return _without_none(
        {
            "exp": issued + 3_600,
            "iat": issued,
            "jti": "abCDEf12GHIj",
            "resource": stage_arn,
            "topic": stage_arn.rpartition("/")[2],
            "events_url": events_url,
            "whip_url": whip_url,
            "capabilities": {"allow_publish": True, "allow_subscribe": True},
            "version": "1.0",
            **changes,
        }
    )


def connection_payload(
    changes: Payload, *, account_id: str, region: str, events_url: str, now_seconds: int | None = None
) -> Payload:
    """Return a valid payload of a connection token with `changes`. A member that is changed to None is left out."""
    issued = int(time.time()) if now_seconds is None else now_seconds
    return _without_none(
        {
            "exp": issued + 3_600,
            "iat": issued,
            "jti": "Mx6clRRHODPy",
            "account_id": account_id,
            "region": region,
            "events_url": events_url,
            "version": "1.0",
            **changes,
        }
    )


def _without_none(members: Payload) -> Payload:
    return {name: value for name, value in members.items() if value is not None}

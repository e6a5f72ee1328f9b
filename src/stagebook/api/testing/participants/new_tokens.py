"""The tokens of participants without media, signed as an application signs them with its own key.

So they can be exchanged, which AWS does not do with tokens of CreateParticipantToken.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from stagebook.api.testing.participants.peer_documents import ExchangeBody, NewParticipant
from stagebook.api.testing.participants.peer_services import PeerServices, bad_request
from stagebook.stage.claims import DEFAULT_DURATION_MINUTES, Claims, TokenSpec
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.ids import new_participant_id
from stagebook.stage.resources import Capability


async def new_token(services: PeerServices, body: NewParticipant) -> str:
    """Return the token of a new participant: the one that the body has, or a new one.

    Raises ApiRefusedError 400, ResourceNotFoundError and InvalidInputError.
    """
    described = (body.stage_arn, body.participant_id, body.user_id, body.attributes, body.capabilities)
    if body.token is not None:
        if any(member is not None for member in (*described, body.duration_minutes)):
            raise bad_request("token: excludes the members that describe a new token")
        return body.token
    if body.stage_arn is None:
        raise bad_request("stageArn: is required without a token")
    if await services.pages.get_stage(body.stage_arn) is None:
        raise ResourceNotFoundError(kind="stage", name=body.stage_arn)
    services.manager.tokens.check(TokenSpec(attributes=body.attributes))
    claims = Claims(
        participant_id=body.participant_id or new_participant_id(services.randomness),
        stage_arn=body.stage_arn,
        capabilities=_capabilities(body.capabilities),
        user_id=body.user_id or "",
        attributes=body.attributes or {},
        expires_at_seconds=0,
    )
    return _signed(services, claims, body.duration_minutes)


def exchanged_token(services: PeerServices, body: ExchangeBody, present: Claims) -> str:
    """Return the token that replaces the present one. Raises ApiRefusedError 400 and InvalidInputError."""
    described = (body.capabilities, body.attributes, body.user_id, body.duration_minutes)
    if body.token is not None:
        if any(member is not None for member in described):
            raise bad_request("token: excludes the members that describe a new token")
        return body.token
    services.manager.tokens.check(TokenSpec(attributes=body.attributes))
    claims = replace(
        present,
        capabilities=present.capabilities if body.capabilities is None else frozenset(body.capabilities),
        attributes=present.attributes if body.attributes is None else body.attributes,
        user_id=present.user_id if body.user_id is None else body.user_id,
    )
    return _signed(services, claims, body.duration_minutes)


def _signed(services: PeerServices, claims: Claims, duration_minutes: int | None) -> str:
    issued_at_seconds = services.manager.control.system_time_ms() // 1_000
    minutes = DEFAULT_DURATION_MINUTES if duration_minutes is None else duration_minutes
    dated = replace(claims, issued_at_seconds=issued_at_seconds, expires_at_seconds=issued_at_seconds + minutes * 60)
    return services.keys.sign(dated, services.manager.endpoints)


def _capabilities(given: Iterable[Capability] | None) -> frozenset[Capability]:
    return frozenset(Capability) if given is None else frozenset(given)

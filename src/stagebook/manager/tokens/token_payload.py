"""The payloads of participant tokens and connection tokens, and the rules of their members.

Participant tokens are minted here or signed with a caller's own key; connection tokens are always signed with a
caller's key. Source: "Distribute Tokens" of the IVS Real-Time user guide. The signature is checked before a payload is
read.

Front ends read a token with `JSON.parse(atob(token.split(".")[1]))`. `atob` returns a character for each byte, and
knows the alphabet of base64 but not that of base64url. So payloads are ASCII, with escapes for all other characters,
and also for the few ASCII characters for which base64url can need `-` or `_`.
"""

import json
import re
from collections.abc import Iterable

import msgspec

from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.arns import Arn, parse_arn
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import MalformedArnError, TokenRefusal, TokenRefusedError
from stagebook.stage.json_depth import MAX_JSON_DEPTH, is_too_deep
from stagebook.stage.resources import Capability

VERSION = "1.0"
LIFETIME_SECONDS = 14 * 24 * 3_600
CONNECTION_LIFETIME_SECONDS = 28 * 24 * 3_600
USER_ID_LENGTH = 128

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LATEST_SECONDS = 253_402_300_800
"""The year 10000: ISO 8601 has years of four digits, and TOKEN_EXCHANGED shows when a token expires."""


class _Capabilities(msgspec.Struct, frozen=True, omit_defaults=True):
    allow_publish: bool = False
    allow_subscribe: bool = False


class _Participant(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members of a participant token. Others are ignored, as RFC 7519 section 4 asks."""

    exp: int
    jti: str
    resource: str
    topic: str
    events_url: str
    whip_url: str
    capabilities: _Capabilities
    version: str
    iat: int | None = None
    user_id: str | None = None
    attributes: dict[str, str] | None = None


class _Connection(msgspec.Struct, frozen=True):
    """The members of a connection token, all mandatory."""

    exp: int
    iat: int
    jti: str
    account_id: str
    region: str
    events_url: str
    version: str


_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in ">?~\x7f"}
"""The ASCII characters whose low six bits are 62 or 63. They can occur in a JSON text only within strings. In all other
texts of ASCII, no group of six bits has these values, because the highest bit of each byte is 0."""
_decode_participant = msgspec.json.Decoder(_Participant).decode
_decode_connection = msgspec.json.Decoder(_Connection).decode


def write_participant(claims: Claims, endpoints: Endpoints) -> bytes:
    """Return the payload of a participant token for these claims, as JSON in ASCII."""
    payload = _Participant(
        exp=claims.expires_at_seconds,
        iat=claims.issued_at_seconds,
        jti=claims.participant_id,
        resource=claims.stage_arn,
        topic=claims.stage_arn.rpartition("/")[2],
        events_url=endpoints.events,
        whip_url=endpoints.whip,
        capabilities=_Capabilities(
            allow_publish=Capability.PUBLISH in claims.capabilities,
            allow_subscribe=Capability.SUBSCRIBE in claims.capabilities,
        ),
        version=VERSION,
        user_id=claims.user_id or None,
        attributes=claims.attributes or None,
    )
    text = json.dumps(msgspec.to_builtins(payload), separators=(",", ":"))
    return text.translate(_ESCAPES).encode("ascii")


def read_participant(body: bytes, *, key_arn: str | None, endpoints: Endpoints, attributes_size_bytes: int) -> Claims:
    """Return the claims of a participant token's payload.

    `key_arn` is the imported key that signed it; None is the server's own. A self-signed payload must also have `iat`
    and this server's `endpoints`. Raises TokenRefusedError: MALFORMED, or STAGE_MISMATCH when `topic` or the key does
    not belong to the stage in `resource`.
    """
    _require_shallow(body)
    try:
        payload = _decode_participant(body)
        stage = parse_arn(payload.resource)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _malformed("the token lacks a member or has one of a wrong type") from None
    except MalformedArnError:
        raise _malformed("the token's resource is not a stage ARN") from None
    _require(_participant_rules(payload, attributes_size_bytes))
    if stage.resource_type != "stage" or stage.resource_id != payload.topic:
        raise _mismatch("the token's topic is not the stage that its resource names")
    if key_arn is not None:
        _require(_self_signed_rules(payload, endpoints))
        if not _same_home(parse_arn(key_arn), stage.account_id, stage.region):
            raise _mismatch("the token's key is of another account or region than its stage")
    return Claims(
        participant_id=payload.jti,
        stage_arn=payload.resource,
        capabilities=_capabilities(payload.capabilities),
        user_id=payload.user_id or "",
        attributes=payload.attributes or {},
        issued_at_seconds=payload.iat,
        expires_at_seconds=payload.exp,
        key_arn=key_arn,
    )


def read_connection(body: bytes, *, key_arn: str, endpoints: Endpoints) -> ConnectionClaims:
    """Return the claims of a connection token's payload, signed with the key `key_arn`.

    Raises TokenRefusedError: MALFORMED, or STAGE_MISMATCH when the key is of another account or region.
    """
    _require_shallow(body)
    try:
        payload = _decode_connection(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _malformed("the connection token lacks a member or has one of a wrong type") from None
    _require(_connection_rules(payload, endpoints))
    if not _same_home(parse_arn(key_arn), payload.account_id, payload.region):
        raise _mismatch("the connection token's key is of another account or region than it names")
    return ConnectionClaims(
        token_id=payload.jti,
        account_id=payload.account_id,
        region=payload.region,
        key_arn=key_arn,
        issued_at_seconds=payload.iat,
        expires_at_seconds=payload.exp,
    )


def _require_shallow(body: bytes) -> None:
    """Raise TokenRefusedError for a payload that the decoder could not decode within its stack."""
    if is_too_deep(body):
        raise _malformed(f"the token's payload is nested deeper than {MAX_JSON_DEPTH} levels")


def _participant_rules(payload: _Participant, attributes_maximum_bytes: int) -> Iterable[tuple[bool, str]]:
    attributes_size_bytes = sum(
        len(text.encode("utf-8")) for pair in (payload.attributes or {}).items() for text in pair
    )
    return (
        *_common_rules(payload.version, payload.jti, payload.exp),
        (
            payload.iat is None or 0 <= payload.exp - payload.iat <= LIFETIME_SECONDS,
            "the token's exp must be at most 14 days after its iat",
        ),
        (len(payload.user_id or "") <= USER_ID_LENGTH, f"the token's user_id exceeds {USER_ID_LENGTH} characters"),
        (attributes_size_bytes <= attributes_maximum_bytes, f"the attributes exceed {attributes_maximum_bytes} bytes"),
    )


def _self_signed_rules(payload: _Participant, endpoints: Endpoints) -> Iterable[tuple[bool, str]]:
    return (
        (payload.iat is not None, "a token that is signed with an imported key must have an iat"),
        (payload.whip_url == endpoints.whip, "the token's whip_url must be the stage's endpoints.whip"),
        (payload.events_url == endpoints.events, "the token's events_url must be the stage's endpoints.events"),
    )


def _connection_rules(payload: _Connection, endpoints: Endpoints) -> Iterable[tuple[bool, str]]:
    return (
        *_common_rules(payload.version, payload.jti, payload.exp),
        (
            0 <= payload.exp - payload.iat <= CONNECTION_LIFETIME_SECONDS,
            "the connection token's exp must be at most four weeks after its iat",
        ),
        (
            payload.events_url == endpoints.events,
            "the connection token's events_url must be a stage's endpoints.events",
        ),
    )


def _common_rules(version: str, token_id: str, expires_at_seconds: int) -> Iterable[tuple[bool, str]]:
    return (
        (version == VERSION, f"the token's version must be {VERSION}"),
        (_ID.fullmatch(token_id) is not None, "the token's jti must be 1 to 64 of [A-Za-z0-9_-]"),
        (0 < expires_at_seconds < _LATEST_SECONDS, "the token's exp must be a time in Unix seconds"),
    )


def _require(rules: Iterable[tuple[bool, str]]) -> None:
    """Raise TokenRefusedError with the text of the first rule that does not hold."""
    broken = next((text for holds, text in rules if not holds), None)
    if broken is not None:
        raise _malformed(broken)


def _same_home(key: Arn, account_id: str, region: str) -> bool:
    return (key.account_id, key.region) == (account_id, region)


def _capabilities(given: _Capabilities) -> frozenset[Capability]:
    pairs = ((Capability.PUBLISH, given.allow_publish), (Capability.SUBSCRIBE, given.allow_subscribe))
    return frozenset(capability for capability, allowed in pairs if allowed)


def _malformed(detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=TokenRefusal.MALFORMED, detail=detail)


def _mismatch(detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=TokenRefusal.STAGE_MISMATCH, detail=detail)

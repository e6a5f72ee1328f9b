"""What a participant sends over HTTP and on the events websocket: tokens, messages and its User-Agent."""

import base64
import json
import re

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stagebook.api.participants.client_info import MAX_FIELD_LENGTH, client_info
from stagebook.api.participants.dialects.events_address import events_address
from stagebook.api.participants.dialects.sdk_dialect import MAXIMUM_ID_LENGTH, parse_exchange
from stagebook.api.participants.dialects.set_state_messages import parse_set_state
from stagebook.api.participants.dialects.token_exchange_messages import parse_exchange_request
from stagebook.api.participants.problem_responses import RequestRefusedError
from stagebook.api.participants.realtime.offer_messages import parse_offer
from stagebook.api.participants.realtime.shared_messages import parse_join, parse_message, pong
from stagebook.api.participants.realtime.shared_messages import parse_set_state as parse_set_state_request
from stagebook.api.participants.stage_state_messages import message_type
from stagebook.api.participants.whip.layer_messages import parse_choice
from stagebook.manager.tokens.jwt_authority import JwtAuthority
from stagebook.manager.tokens.key_material import fingerprint, read_material
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.manager.tokens.token_payload import read_connection, read_participant, write_participant
from stagebook.media.port import LayerMode
from stagebook.stage.claims import Claims
from stagebook.stage.errors import InvalidInputError, TokenRefusedError
from stagebook.stage.resources import Capability
from tests.fuzz.fuzz_target import FuzzTarget

_STAGE = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
_KEY_ARN = "arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh"
_ENDPOINTS = Endpoints(
    events="wss://stages.example.com/events",
    whip="https://stages.example.com/whip",
    rtmp="rtmp://stages.example.com",
    rtmps="rtmps://stages.example.com",
)
_NOW_SECONDS = 1_700_000_000
_CLAIMS = Claims(
    participant_id="abCDEf12GHIj",
    stage_arn=_STAGE,
    capabilities=frozenset(Capability),
    user_id="someone é",
    attributes={"name": "\\u0041>?~"},
    issued_at_seconds=_NOW_SECONDS,
    expires_at_seconds=_NOW_SECONDS + 3_600,
)
_CONNECTION = {
    "exp": _NOW_SECONDS + 60,
    "iat": _NOW_SECONDS,
    "jti": "connection-1",
    "account_id": "123456789012",
    "region": "us-west-2",
    "events_url": _ENDPOINTS.events,
    "version": "1.0",
}
_PRIVATE_KEY = ec.derive_private_key(4_711, ec.SECP384R1())
"""The same in every process, so that a token is the same input in each."""
_AUTHORITY = JwtAuthority(
    private_key_pem=_PRIVATE_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
    endpoints=_ENDPOINTS,
    find_key=lambda arn: _PRIVATE_KEY.public_key() if arn == _KEY_ARN else None,
    cache_size_tokens=16,
)
_TOKEN = _AUTHORITY.mint(_CLAIMS)
_STAGE_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_ALLOWED_FIELD = re.compile(r"[a-zA-Z0-9\-_.,:; ]*")


def check_token(data: bytes) -> None:
    """A token is refused with TokenRefusedError, unless it is one that was signed."""
    token = data.decode("latin-1")
    _AUTHORITY.is_known(token)
    for verify in (_AUTHORITY.verify, _AUTHORITY.verify_connection):
        try:
            claims = verify(token, now_ms=_NOW_SECONDS * 1_000)
        except TokenRefusedError as refused:
            # A short one may be a word of the message.
            assert len(token) < 16 or token not in str(refused)
            continue
        assert claims == _CLAIMS


def check_token_payload(data: bytes) -> None:
    """The payload of a token with a valid signature is refused, or can be written and is read as the same claims."""
    for key_arn in (None, _KEY_ARN):
        try:
            claims = read_participant(data, key_arn=key_arn, endpoints=_ENDPOINTS, attributes_size_bytes=1_024)
        except TokenRefusedError:
            continue
        written = write_participant(claims, _ENDPOINTS)
        assert written.isascii()
        assert not set(base64.b64encode(written)) & set(b"+/")
        again = read_participant(written, key_arn=key_arn, endpoints=_ENDPOINTS, attributes_size_bytes=1_024)
        assert again == claims
    try:
        read_connection(data, key_arn=_KEY_ARN, endpoints=_ENDPOINTS)
    except TokenRefusedError:
        return


def check_websocket_message(data: bytes) -> None:
    """A message has a type and a token as another decoder reads them, or none."""
    text = data.decode("utf-8", "replace")
    found = message_type(text)
    assert found is None or json.loads(text)["type"] == found
    try:
        token = parse_exchange_request(text)
    except RequestRefusedError as refused:
        assert refused.problem.status == 400
        return
    assert json.loads(text)["token"] == token


def check_layer_choice(data: bytes) -> None:
    """A choice of a layer names what another decoder reads, or is refused."""
    text = data.decode("utf-8", "replace")
    try:
        chosen = parse_choice(text)
    except RequestRefusedError as refused:
        assert refused.problem.status == 400
        return
    body = json.loads(text)
    named = body.get("encodingId")
    assert chosen.encoding_id == (body.get("rid") if named is None else named)
    assert (chosen.encoding_id is None) == (chosen.mode not in (LayerMode.EXACTLY, LayerMode.AT_MOST))
    assert body.get("mode") in (None, chosen.mode.value)


def check_set_state(data: bytes) -> None:
    """A SET_STATE message says what another decoder reads, or is ignored."""
    text = data.decode("utf-8", "replace")
    said = parse_set_state(text)
    if said is not None:
        message = json.loads(text)
        assert (message.get("audioMuted"), message.get("videoStopped")) == (said.audio_muted, said.video_stopped)


def check_shared_message(data: bytes) -> None:
    """A message of a stage has the id, the type and the members that another decoder reads, or is ignored."""
    text = data.decode("utf-8", "replace")
    message = parse_message(text)
    if message is None:
        return
    frame = json.loads(text)
    inner = frame if message.logical_id is None else frame["message"]
    assert json.loads(message.text) == inner
    assert (message.logical_id, message.type) in ((None, frame.get("type")), (frame.get("logicalId"), inner["type"]))
    assert len(pong(message.text)) < 512
    join, offer, state = parse_join(message.text), parse_offer(message.text), parse_set_state_request(message.text)
    if join is not None:
        assert (join.token, join.ids.request_id) == (inner["payload"].get("token", ""), inner["payload"]["requestId"])
    if offer is not None:
        assert (offer.sdp, offer.ids.request_id) == (inner["payload"]["content"], inner["payload"]["requestId"])
        assert inner["payload"]["whipUrl"].endswith(f"/{offer.participant_id}")
    if state is not None:
        assert json.loads(state[0]) == inner["payload"]


def check_sdk_exchange(data: bytes) -> None:
    """An EXCHANGE_TOKEN message of the SDK asks for what another decoder reads, with short ids, or is malformed."""
    text = data.decode("utf-8", "replace")
    asked = parse_exchange(text)
    if asked is not None:
        payload = json.loads(text)["payload"]
        expected = payload["requestId"], payload["traceId"], payload["newToken"]
        assert (asked.request_id, asked.trace_id, asked.new_token) == expected
        assert max(len(asked.request_id), len(asked.trace_id)) <= MAXIMUM_ID_LENGTH


def check_events_query(data: bytes) -> None:
    """The query of an events websocket names a stage, or is refused with 404."""
    try:
        address = events_address("/events", data)
    except RequestRefusedError as refused:
        assert refused.problem.status == 404
        return
    assert _STAGE_ID.fullmatch(address.topic)


def check_user_agent(data: bytes) -> None:
    """Whatever a client calls itself, the book gets short fields of harmless characters."""
    for field in msgspec.structs.astuple(client_info(data.decode("latin-1"))):
        assert len(field) <= MAX_FIELD_LENGTH
        assert _ALLOWED_FIELD.fullmatch(field)


def check_public_key(data: bytes) -> None:
    """Key material is refused with InvalidInputError, or is a key with a fingerprint."""
    try:
        key = read_material(data.decode("utf-8", "replace"))
    except InvalidInputError as refused:
        assert refused.member == "publicKeyMaterial"
        return
    assert len(fingerprint(key)) == 16 * 3 - 1


_PEM = _PRIVATE_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
_USER_AGENTS = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1",
    b"Mozilla/5.0 (OBS-Studio/30.1.2; Linux x86_64; en-US)",
)

TARGETS = (
    FuzzTarget(
        name="jwt",
        check=check_token,
        max_size_bytes=13_000,
        seeds=(_TOKEN.encode(), _TOKEN.encode()[:-4] + b"AAAA"),
    ),
    FuzzTarget(
        name="token-payload",
        check=check_token_payload,
        max_size_bytes=9_000,
        seeds=(write_participant(_CLAIMS, _ENDPOINTS), json.dumps(_CONNECTION).encode()),
    ),
    FuzzTarget(
        name="websocket-message",
        check=check_websocket_message,
        max_size_bytes=16_384,
        seeds=(b'{"type":"PING"}', b'{"type":"EXCHANGE_TOKEN","token":"a.b.c","more":[{"x":1}]}'),
    ),
    FuzzTarget(
        name="layer-choice",
        check=check_layer_choice,
        max_size_bytes=4_096,
        seeds=(b'{"mediaId":"1","encodingId":"low"}', b'{"rid":"hd","maxWidth":640,"more":[{"x":1}]}', b"{}"),
    ),
    FuzzTarget(
        name="set-state",
        check=check_set_state,
        max_size_bytes=1_024,
        seeds=(b'{"audioMuted":false,"type":"SET_STATE","version":"0","videoStopped":true}',),
    ),
    FuzzTarget(
        name="shared-message",
        check=check_shared_message,
        max_size_bytes=16_384,
        seeds=(
            b'{"type":"PING","payload":{"requestId":"r","traceId":"t"}}',
            b'{"logicalId":"a","message":{"type":"aws:ivs:JOIN_STAGE","payload":{"token":"t","requestId":"r"}}}',
            b'{"logicalId":"a","message":{"type":"aws:ivs:SDP_OFFER","payload":{"whipUrl":"/publish/p","content":"v","requestId":"r"}}}',
            b'{"logicalId":"a","message":{"type":"aws:ivs:SET_STATE","payload":{"audioMuted":true,"requestId":"r"}}}',
        ),
    ),
    FuzzTarget(
        name="sdk-exchange",
        check=check_sdk_exchange,
        max_size_bytes=16_384,
        seeds=(
            b'{"type":"aws:ivs:EXCHANGE_TOKEN","payload":{"oldToken":"a.b.c","newToken":"d.e.f","requestId":"1","traceId":"2"}}',
        ),
    ),
    FuzzTarget(
        name="events-query",
        check=check_events_query,
        max_size_bytes=512,
        # Short ones as well: the fuzzer takes the short lines of the seeds as its words.
        seeds=(
            b"error_over_ws=1&topic=dF2ISMircFZA/publishers&traceid=1-6b0a55d3-47a62e47c4dd0bdc6cbb7232",
            b"topic=aB3/publishers",
            b"topic=aB3",
        ),
    ),
    FuzzTarget(name="user-agent", check=check_user_agent, max_size_bytes=2_048, seeds=_USER_AGENTS),
    FuzzTarget(name="public-key", check=check_public_key, max_size_bytes=2_048, seeds=(_PEM,)),
)

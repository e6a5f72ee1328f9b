"""Self-signed tokens: each rule of their members, and the keys that are known."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.tokens.jwt_authority import CLOCK_SKEW_SECONDS, JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Capability
from tests.clients.own_key import OwnKey, Payload, connection_payload, participant_payload

ACCOUNT, REGION = "123456789012", "us-west-2"
STAGE = f"arn:aws:ivs:{REGION}:{ACCOUNT}:stage/abcdABCDefgh"
KEY_ARN = f"arn:aws:ivs:{REGION}:{ACCOUNT}:public-key/abcdABC1efg2"
ENDPOINTS = Endpoints(
    events="wss://stages.example.com/events", whip="https://stages.example.com/whip", rtmp="", rtmps=""
)
NOW = 1_700_000_000
DAY = 24 * 3_600
KEY = OwnKey(KEY_ARN)
STRANGER = OwnKey(KEY_ARN)
OTHER_ACCOUNT = OwnKey(f"arn:aws:ivs:{REGION}:210987654321:public-key/abcdABC1efg2")
OTHER_REGION = OwnKey(f"arn:aws:ivs:eu-west-1:{ACCOUNT}:public-key/abcdABC1efg2")
SERVER_KEY = new_private_key_pem()


class Keys(dict[str, OwnKey]):
    """The imported keys as the authority looks them up."""

    def find(self, arn: str) -> ec.EllipticCurvePublicKey | None:
        return self[arn].private.public_key() if arn in self else None


def imported(*keys: OwnKey) -> Keys:
    return Keys({key.arn: key for key in keys or (KEY, OTHER_ACCOUNT, OTHER_REGION)})


def authority(keys: Keys | None = None) -> JwtAuthority:
    find_key = (imported() if keys is None else keys).find
    return JwtAuthority(private_key_pem=SERVER_KEY, endpoints=ENDPOINTS, find_key=find_key)


def payload(**changes: object) -> Payload:
    return participant_payload(STAGE, changes, whip_url=ENDPOINTS.whip, events_url=ENDPOINTS.events, now_seconds=NOW)


def connection(**changes: object) -> Payload:
    return connection_payload(changes, account_id=ACCOUNT, region=REGION, events_url=ENDPOINTS.events, now_seconds=NOW)


def verify(token: str, *, now: int = NOW) -> Claims:
    return authority().verify(token, now_ms=now * 1_000)


def verify_connection(token: str, *, now: int = NOW) -> ConnectionClaims:
    return authority().verify_connection(token, now_ms=now * 1_000)


def refusal(token: str, *, now: int = NOW) -> TokenRefusal:
    with pytest.raises(TokenRefusedError) as caught:
        verify(token, now=now)
    assert token not in str(caught.value)
    return caught.value.refusal


def connection_refusal(token: str, *, now: int = NOW) -> TokenRefusal:
    with pytest.raises(TokenRefusedError) as caught:
        verify_connection(token, now=now)
    return caught.value.refusal


def test_a_valid_token_gives_the_claims() -> None:
    token = KEY.sign(payload(user_id="ada", attributes={"role": "host"}, capabilities={"allow_publish": True}))
    assert verify(token) == Claims(
        participant_id="abCDEf12GHIj",
        stage_arn=STAGE,
        capabilities=frozenset({Capability.PUBLISH}),
        user_id="ada",
        attributes={"role": "host"},
        issued_at_seconds=NOW,
        expires_at_seconds=NOW + 3_600,
        key_arn=KEY_ARN,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"capabilities": {}},
        {"capabilities": {"allow_publish": False}},
        {"exp": NOW + 14 * DAY},
        {"iat": NOW + CLOCK_SKEW_SECONDS},
        {"jti": "-" * 64},
        {"user_id": "é" * 128},
        {"attributes": {"k" * 512: "v" * 512}},
        {"attributes": {}},
        {"unknown": [1]},
    ],
    ids=str,
)
def test_values_at_a_limit_are_accepted(changes: Payload) -> None:
    assert verify(KEY.sign(payload(**changes))).key_arn == KEY_ARN


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in payload()),
        *({name: wrong} for name in ("exp", "iat") for wrong in ("1700000000", 1_700_000_000.5, 1.7e9, True, [NOW])),
        {"exp": NOW + 14 * DAY + 1},
        {"exp": NOW - 1, "iat": NOW},
        {"exp": 1 << 41, "iat": (1 << 41) - 10},
        {"exp": 10**30, "iat": 10**30 - 10},
        {"iat": NOW + CLOCK_SKEW_SECONDS + 1},
        {"jti": ""},
        {"jti": "x" * 65},
        {"jti": "a b"},
        {"jti": "a\n"},
        {"jti": "é"},
        {"jti": 5},
        {"resource": "stage"},
        {"resource": STAGE + "/x"},
        {"events_url": ENDPOINTS.events + "/"},
        {"events_url": "wss://global.events.live-video.net"},
        {"whip_url": ENDPOINTS.whip.upper()},
        {"whip_url": ENDPOINTS.events},
        {"capabilities": ["PUBLISH"]},
        {"capabilities": {"allow_publish": "true"}},
        {"capabilities": {"allow_publish": 1}},
        {"version": "1"},
        {"version": 1.0},
        {"user_id": "x" * 129},
        {"user_id": 5},
        {"attributes": {"k" * 512: "v" * 513}},
        {"attributes": {"k": 5}},
        {"attributes": ["k"]},
    ],
    ids=str,
)
def test_a_token_that_breaks_a_rule_is_malformed(changes: Payload) -> None:
    assert refusal(KEY.sign(payload(**changes))) is TokenRefusal.MALFORMED


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        (KEY, {"topic": "abcdABCDefgi"}),
        (KEY, {"resource": KEY_ARN}),
        (KEY, {"resource": STAGE.replace(ACCOUNT, "210987654321")}),
        (KEY, {"resource": STAGE.replace(REGION, "eu-west-1")}),
        (OTHER_ACCOUNT, {}),
        (OTHER_REGION, {}),
    ],
)
def test_stage_topic_and_key_must_agree(key: OwnKey, changes: Payload) -> None:
    assert refusal(key.sign(payload(**changes))) is TokenRefusal.STAGE_MISMATCH


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "arn:aws:ivs:us-west-2:123456789012:public-key/000000000000"},
        {"kid": STAGE},
        {"kid": "not an ARN"},
        {"kid": ""},
        {"kid": KEY_ARN + " "},
        {"kid": KEY_ARN.replace("us-west-2:123456789012", "123456789012:us-west-2")},
        {"typ": "JOSE"},
        {"crit": ["exp"]},
        {"crit": ["b64"]},
    ],
    ids=str,
)
def test_the_header_must_name_a_known_key_and_no_unknown_extension(header: Payload) -> None:
    assert refusal(KEY.sign(payload(), **header)) in {TokenRefusal.SIGNATURE, TokenRefusal.MALFORMED}


def test_a_signature_by_a_key_other_than_the_named_one_is_refused() -> None:
    assert refusal(STRANGER.sign(payload())) is TokenRefusal.SIGNATURE
    server = JwtAuthority(private_key_pem=SERVER_KEY, endpoints=ENDPOINTS)
    minted = server.mint(verify(KEY.sign(payload())))
    assert verify(minted).key_arn is None


def test_a_self_signed_token_must_name_its_key() -> None:
    anonymous = KEY.sign(payload())
    head, body, sign = anonymous.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    del header["kid"]
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    assert refusal(f"{head}.{body}.{sign}") is TokenRefusal.SIGNATURE


def test_a_self_signed_token_expires_at_its_second() -> None:
    token = KEY.sign(payload())
    assert verify(token, now=NOW + 3_599).expires_at_seconds == NOW + 3_600
    assert refusal(token, now=NOW + 3_600) is TokenRefusal.EXPIRED


def test_tokens_of_a_deleted_key_are_refused_also_if_they_were_verified_before() -> None:
    keys = imported(KEY)
    checks = authority(keys)
    token = KEY.sign(payload())
    opener = KEY.sign(connection())
    checks.verify(token, now_ms=NOW * 1_000)
    checks.verify_connection(opener, now_ms=NOW * 1_000)
    del keys[KEY_ARN]
    with pytest.raises(TokenRefusedError) as caught:
        checks.verify(token, now_ms=None)
    assert caught.value.refusal is TokenRefusal.SIGNATURE
    with pytest.raises(TokenRefusedError):
        checks.verify_connection(opener, now_ms=NOW * 1_000)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_forged_or_mutated_token_is_refused(data: st.DataObject) -> None:
    token = KEY.sign(payload())
    at = data.draw(st.integers(0, len(token) - 1))
    letters = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=")
    mutated = token[:at] + data.draw(letters) + token[at + 1 :]
    try:
        # The last character of a part can have bits that decode to nothing: the same token, spelled otherwise.
        assert verify(mutated) == verify(token)
    except TokenRefusedError:
        assert mutated != token


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from([*payload(), "user_id", "attributes", "kid"]),
)
def test_any_value_of_a_member_gives_claims_or_a_refusal(value: object, member: str) -> None:
    token = KEY.sign(payload(), kid=value) if member == "kid" and isinstance(value, str) else None
    try:
        claims = verify(token or KEY.sign({**payload(), member: value}))
    except TokenRefusedError:
        return
    assert claims.key_arn == KEY_ARN
    assert claims.stage_arn == STAGE
    assert claims.issued_at_seconds is not None
    assert 0 <= claims.expires_at_seconds - claims.issued_at_seconds <= 14 * DAY


class TestConnectionTokens:
    def test_a_right_one_says_its_id_and_its_home(self) -> None:
        assert verify_connection(KEY.sign(connection(exp=NOW + 28 * DAY))) == ConnectionClaims(
            token_id="Mx6clRRHODPy",
            account_id=ACCOUNT,
            region=REGION,
            key_arn=KEY_ARN,
            issued_at_seconds=NOW,
            expires_at_seconds=NOW + 28 * DAY,
        )

    @pytest.mark.parametrize(
        "changes",
        [
            *({name: None} for name in connection()),
            {"exp": NOW + 28 * DAY + 1},
            {"exp": NOW - 1},
            {"iat": NOW + CLOCK_SKEW_SECONDS + 1},
            {"iat": float(NOW)},
            {"jti": "x" * 65},
            {"jti": ""},
            {"version": "2.0"},
            {"events_url": ENDPOINTS.whip},
            {"account_id": 123456789012},
        ],
        ids=str,
    )
    def test_one_that_breaks_a_rule_is_malformed(self, changes: Payload) -> None:
        assert connection_refusal(KEY.sign(connection(**changes))) is TokenRefusal.MALFORMED

    @pytest.mark.parametrize("changes", [{"account_id": "210987654321"}, {"region": "eu-west-1"}], ids=str)
    def test_its_key_is_of_its_home(self, changes: Payload) -> None:
        assert connection_refusal(KEY.sign(connection(**changes))) is TokenRefusal.STAGE_MISMATCH

    def test_it_expires(self) -> None:
        assert connection_refusal(KEY.sign(connection()), now=NOW + 3_600) is TokenRefusal.EXPIRED

    def test_the_server_signs_none(self) -> None:
        checks = authority()
        minted = checks.mint(verify(KEY.sign(payload())))
        with pytest.raises(TokenRefusedError):
            checks.verify_connection(minted, now_ms=NOW * 1_000)

    def test_neither_kind_of_token_is_taken_for_the_other(self) -> None:
        checks = authority()
        participant, opener = KEY.sign(payload()), KEY.sign(connection())
        checks.verify(participant, now_ms=NOW * 1_000)
        checks.verify_connection(opener, now_ms=NOW * 1_000)
        with pytest.raises(TokenRefusedError):
            checks.verify(opener, now_ms=NOW * 1_000)
        with pytest.raises(TokenRefusedError):
            checks.verify_connection(participant, now_ms=NOW * 1_000)

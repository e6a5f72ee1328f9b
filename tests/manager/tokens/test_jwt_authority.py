"""Participant tokens that the server mints: their members, and which tokens are accepted and refused."""

import base64
import functools
import hmac
import json
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.tokens.jwt_authority import JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Capability

STAGE = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
ENDPOINTS = Endpoints(
    events="wss://stages.example.com/events",
    whip="https://stages.example.com/whip",
    rtmp="rtmp://stages.example.com",
    rtmps="rtmps://stages.example.com",
)
KEY = new_private_key_pem()
NOW_SECONDS = 1_700_000_000
EXPIRY_SECONDS = NOW_SECONDS + 3_600


def authority(*, attributes_size_bytes: int = 1_024, cache_size_tokens: int = 8_192) -> JwtAuthority:
    return JwtAuthority(
        private_key_pem=KEY,
        endpoints=ENDPOINTS,
        attributes_size_bytes=attributes_size_bytes,
        cache_size_tokens=cache_size_tokens,
    )


def claims(**members: object) -> Claims:
    defaults: dict[str, object] = {
        "participant_id": "abCDEf12GHIj",
        "stage_arn": STAGE,
        "capabilities": frozenset(Capability),
        "issued_at_seconds": NOW_SECONDS,
        "expires_at_seconds": EXPIRY_SECONDS,
    }
    return msgspec.convert({**defaults, **members}, Claims)


def private_key() -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(KEY, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def payload(**changes: object) -> dict[str, object]:
    """A valid payload with changes; a member of None is left out."""
    members: dict[str, object] = {
        "exp": EXPIRY_SECONDS,
        "iat": NOW_SECONDS,
        "jti": "abCDEf12GHIj",
        "resource": STAGE,
        "topic": "abcdABCDefgh",
        "events_url": ENDPOINTS.events,
        "whip_url": ENDPOINTS.whip,
        "capabilities": {"allow_publish": True},
        "version": "1.0",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def signed(body: object, *, key_pem: bytes = KEY, headers: dict[str, Any] | None = None) -> str:
    return jwt.PyJWS().encode(json.dumps(body).encode(), key_pem, algorithm="ES384", headers=headers)


def verify(token: str, *, now_seconds: float = NOW_SECONDS) -> Claims:
    return authority().verify(token, now_ms=int(now_seconds * 1_000))


def refusal(token: str, *, now_seconds: float = NOW_SECONDS) -> TokenRefusal:
    with pytest.raises(TokenRefusedError) as caught:
        verify(token, now_seconds=now_seconds)
    assert token not in str(caught.value)
    return caught.value.refusal


def test_a_token_has_the_members_that_public_clients_read() -> None:
    token = authority().mint(claims(user_id="ada", attributes={"role": "host"}))
    assert part(token, 0) == {"typ": "JWT", "alg": "ES384"}
    assert part(token, 1) == {
        "exp": EXPIRY_SECONDS,
        "iat": NOW_SECONDS,
        "jti": "abCDEf12GHIj",
        "resource": STAGE,
        "topic": "abcdABCDefgh",
        "events_url": "wss://stages.example.com/events",
        "whip_url": "https://stages.example.com/whip",
        "capabilities": {"allow_publish": True, "allow_subscribe": True},
        "version": "1.0",
        "user_id": "ada",
        "attributes": {"role": "host"},
    }


def test_a_signature_is_in_the_raw_form_of_jose() -> None:
    signature = authority().mint(claims()).split(".")[2]
    assert len(base64.urlsafe_b64decode(signature + "==")) == 96


def test_equal_claims_have_equal_tokens_only_where_a_test_asks_for_it() -> None:
    deterministic = JwtAuthority(private_key_pem=KEY, endpoints=ENDPOINTS, is_deterministic=True)
    token = deterministic.mint(claims())

    assert deterministic.mint(claims()) == token
    assert verify(token) == claims()
    assert authority().mint(claims()) != authority().mint(claims())


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (frozenset({Capability.SUBSCRIBE}), {"allow_subscribe": True}),
        (frozenset({Capability.PUBLISH}), {"allow_publish": True}),
        (frozenset(), {}),
    ],
)
def test_only_granted_capabilities_are_named(capabilities: frozenset[Capability], expected: dict[str, bool]) -> None:
    assert part(authority().mint(claims(capabilities=capabilities)), 1)["capabilities"] == expected


def test_user_id_and_attributes_are_left_out_when_not_given() -> None:
    assert not {"user_id", "attributes"} & set(part(authority().mint(claims()), 1))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30, deadline=None)
@given(
    user_id=texts,
    attributes=st.dictionaries(texts, texts, max_size=3),
    capabilities=st.frozensets(st.sampled_from(Capability)),
    participant_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"),
)
def test_verified_claims_equal_the_minted_ones(
    user_id: str, attributes: dict[str, str], capabilities: frozenset[Capability], participant_id: str
) -> None:
    given_claims = claims(
        user_id=user_id, attributes=attributes, capabilities=capabilities, participant_id=participant_id
    )
    assert verify(authority().mint(given_claims)) == given_claims


def test_the_largest_token_that_can_be_requested_is_accepted() -> None:
    largest = claims(user_id="\x01" * 128, attributes={"\x01": "\x01" * 1_023}, participant_id="p" * 64)
    assert verify(authority().mint(largest)) == largest


def test_a_token_without_iat_is_accepted() -> None:
    assert verify(signed(payload(iat=None))).issued_at_seconds is None


def test_unknown_members_are_ignored() -> None:
    assert verify(signed(payload(later="thing"))).participant_id == "abCDEf12GHIj"


def test_a_token_is_valid_before_its_expiry_and_not_at_it() -> None:
    token = authority().mint(claims())
    assert verify(token, now_seconds=EXPIRY_SECONDS - 0.001) == claims()
    assert refusal(token, now_seconds=EXPIRY_SECONDS) is TokenRefusal.EXPIRED


def test_an_expired_token_still_identifies_its_participant() -> None:
    assert authority().verify(authority().mint(claims()), now_ms=None) == claims()


def test_a_cached_token_still_expires() -> None:
    verifier = authority()
    token = verifier.mint(claims())
    verifier.verify(token, now_ms=NOW_SECONDS * 1_000)
    with pytest.raises(TokenRefusedError) as caught:
        verifier.verify(token, now_ms=EXPIRY_SECONDS * 1_000)
    assert caught.value.refusal is TokenRefusal.EXPIRED


def test_the_token_cache_is_bounded_and_an_evicted_token_is_still_valid() -> None:
    verifier = authority(cache_size_tokens=2)
    tokens = [verifier.mint(claims(participant_id=f"p{number}")) for number in range(4)]
    for token in [*tokens, *tokens]:
        verifier.verify(token, now_ms=NOW_SECONDS * 1_000)
    assert len(verifier._verified) == 2


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.b.c", "a..c", "x" * 20_000, "eyJhbGciOiJFUzM4NCJ9.e30.\n", "\ud800.b.c"],
)
def test_a_string_that_is_no_token_is_malformed(token: str) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        verify(token)
    assert caught.value.refusal is TokenRefusal.MALFORMED


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,130}\Z")
    )
)
def test_arbitrary_strings_are_refused(token: str) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        verify(token)
    assert caught.value.refusal in {TokenRefusal.MALFORMED, TokenRefusal.SIGNATURE}


headers = st.dictionaries(
    st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=4), max_size=2)),
)


@settings(max_examples=100, deadline=None)
@given(headers)
def test_a_token_without_a_signature_is_refused_whatever_its_header(header: dict[str, Any]) -> None:
    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    token = f"{encoded(header)}.{encoded(payload())}.{'A' * 128}"
    assert refusal(token) in {TokenRefusal.MALFORMED, TokenRefusal.SIGNATURE}


@functools.cache
def one_token() -> str:
    """A token that is the same in each example, although signatures are random."""
    return authority().mint(claims())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_token_with_one_changed_character_is_refused(data: st.DataObject) -> None:
    token = one_token()
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCXYZabcxyz019-_").filter(lambda letter: letter != token[position]))
    assert refusal(token[:position] + other + token[position + 1 :]) in {TokenRefusal.MALFORMED, TokenRefusal.SIGNATURE}


def test_a_signature_by_another_key_is_refused() -> None:
    assert refusal(signed(payload(), key_pem=new_private_key_pem())) is TokenRefusal.SIGNATURE


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS384"}, {"alg": "ES256"}, {"alg": "ES384", "typ": "at+jwt"}]
)
def test_the_token_cannot_choose_the_algorithm(header: dict[str, str]) -> None:
    encoded_header = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    signed_part = f"{encoded_header}.{signed(payload()).split('.')[1]}"
    public_der = (
        private_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    # Algorithm confusion: the public key, which anybody can have, is used as an HMAC secret.
    signature = hmac.digest(public_der, signed_part.encode(), "sha384")
    token = f"{signed_part}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert refusal(token) is TokenRefusal.SIGNATURE


def test_a_token_that_names_a_public_key_is_refused_with_a_clear_reason() -> None:
    with pytest.raises(TokenRefusedError, match="kid") as caught:
        verify(signed(payload(), headers={"kid": "arn:aws:ivs:us-west-2:123456789012:public-key/abc"}))
    assert caught.value.refusal is TokenRefusal.SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "1700003600"},
        {"exp": EXPIRY_SECONDS + 0.5},
        {"exp": -1},
        {"exp": 1 << 62},
        {"exp": NOW_SECONDS + 14 * 24 * 3_600 + 1},
        {"iat": EXPIRY_SECONDS + 1},
        {"iat": "now"},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 65},
        {"jti": "a b"},
        {"jti": "a\n"},
        {"jti": 7},
        {"resource": None},
        {"resource": "stage/abcdABCDefgh"},
        {"resource": STAGE + "\n"},
        {"topic": None},
        {"events_url": None},
        {"whip_url": 1},
        {"capabilities": None},
        {"capabilities": ["PUBLISH"]},
        {"capabilities": {"allow_publish": "true"}},
        {"capabilities": {"allow_publish": 1}},
        {"version": None},
        {"version": "2.0"},
        {"user_id": "u" * 129},
        {"user_id": 1},
        {"attributes": {"k": 1}},
        {"attributes": ["k"]},
        {"attributes": {"k": "v" * 1_024}},
        {"attributes": {"é" * 256: "é" * 257}},
    ],
    ids=str,
)
def test_a_member_that_breaks_its_rule_is_malformed(changes: dict[str, Any]) -> None:
    assert refusal(signed(payload(**changes))) is TokenRefusal.MALFORMED


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_a_payload_that_is_no_object_is_malformed(body: object) -> None:
    assert refusal(signed(body)) is TokenRefusal.MALFORMED


@pytest.mark.parametrize(
    "changes", [{"topic": "other0000000"}, {"resource": STAGE.replace("stage/", "composition/")}, {"topic": ""}]
)
def test_a_token_whose_topic_is_not_its_stage_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(signed(payload(**changes))) is TokenRefusal.STAGE_MISMATCH


def test_the_quota_of_attributes_can_be_raised() -> None:
    roomy = authority(attributes_size_bytes=4_096)
    token = roomy.mint(claims(attributes={"k": "v" * 2_000}))
    assert roomy.verify(token, now_ms=NOW_SECONDS * 1_000).attributes == {"k": "v" * 2_000}


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65_537, 2_048)])
def test_only_a_p384_key_signs(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(ValueError, match="P-384"):
        JwtAuthority(private_key_pem=pem, endpoints=ENDPOINTS)

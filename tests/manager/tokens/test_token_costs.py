"""What tokens of unauthenticated clients can cost: nesting, repeated forgeries, and what front ends can read."""

import base64
import json
import string
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.manager.tokens.jwt_authority import TOKEN_SIZE_BYTES, JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.json_depth import MAX_JSON_DEPTH
from stagebook.stage.resources import Capability
from tests.clients.own_key import OwnKey, Payload, connection_payload, participant_payload

ACCOUNT, REGION = "123456789012", "us-west-2"
STAGE = f"arn:aws:ivs:{REGION}:{ACCOUNT}:stage/abcdABCDefgh"
ENDPOINTS = Endpoints(
    events="wss://stages.example.com/events", whip="https://stages.example.com/whip", rtmp="", rtmps=""
)
NOW_SECONDS = 1_700_000_000
KEY = OwnKey(f"arn:aws:ivs:{REGION}:{ACCOUNT}:public-key/abcdABC1efg2")
FORGER = OwnKey(KEY.arn)
SERVER_KEY = new_private_key_pem()


class CountingAuthority(JwtAuthority):
    """An authority that counts the signatures that it checks."""

    def __init__(self, *, imported: tuple[OwnKey, ...] = (KEY,), cache_size_tokens: int = 100) -> None:
        self.keys = {key.arn: key.private.public_key() for key in imported}
        super().__init__(
            private_key_pem=SERVER_KEY,
            endpoints=ENDPOINTS,
            find_key=lambda arn: self.keys.get(arn),
            cache_size_tokens=cache_size_tokens,
        )
        self.signatures = 0
        decode = self._jws.decode

        def counting(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - as PyJWT's
            self.signatures += 1
            return decode(*arguments, **keywords)

        self._jws.decode = counting  # type: ignore[method-assign]

    def refusal(self, token: str) -> TokenRefusedError:
        with pytest.raises(TokenRefusedError) as caught:
            self.verify(token, now_ms=NOW_SECONDS * 1_000)
        return caught.value

    def connection_refusal(self, token: str) -> TokenRefusedError:
        with pytest.raises(TokenRefusedError) as caught:
            self.verify_connection(token, now_ms=NOW_SECONDS * 1_000)
        return caught.value


def payload(**changes: object) -> Payload:
    return participant_payload(
        STAGE, changes, whip_url=ENDPOINTS.whip, events_url=ENDPOINTS.events, now_seconds=NOW_SECONDS
    )


def connection(**changes: object) -> Payload:
    return connection_payload(
        changes, account_id=ACCOUNT, region=REGION, events_url=ENDPOINTS.events, now_seconds=NOW_SECONDS
    )


def signed(key: OwnKey, text: str) -> str:
    """Sign a payload given as text: the encoder of the tests cannot write deep nesting."""
    return jwt.PyJWS().encode(text.encode(), key.private, algorithm="ES384", headers={"kid": key.arn})


def nested(members: Payload, depth: int, brackets: str) -> str:
    opening = '{"a":' if brackets == "{}" else "["
    deep = opening * depth + "1" + brackets[1] * depth
    return json.dumps(members)[:-1] + f', "extra": {deep}}}'


class TestNesting:
    @pytest.mark.parametrize("brackets", ["[]", "{}"])
    @pytest.mark.parametrize("depth", [MAX_JSON_DEPTH, 400, 1_200])
    def test_a_deep_unknown_member_of_a_self_signed_token_is_malformed(self, depth: int, brackets: str) -> None:
        authority = CountingAuthority()
        error = authority.refusal(signed(KEY, nested(payload(), depth, brackets)))
        assert (error.refusal, str(error)) == (
            TokenRefusal.MALFORMED,
            "the token's payload is nested deeper than 32 levels",
        )
        error = authority.connection_refusal(signed(KEY, nested(connection(), depth, brackets)))
        assert error.refusal is TokenRefusal.MALFORMED

    def test_an_unknown_member_within_the_limit_is_ignored(self) -> None:
        token = signed(KEY, nested(payload(), MAX_JSON_DEPTH - 1, "[]"))
        assert CountingAuthority().verify(token, now_ms=NOW_SECONDS * 1_000).stage_arn == STAGE

    @pytest.mark.parametrize("depth", [MAX_JSON_DEPTH, 3_000])
    def test_a_deep_header_is_malformed(self, depth: int) -> None:
        header = base64.urlsafe_b64encode(
            b'{"alg":"ES384","typ":"JWT","x":' + b"[" * depth + b"]" * depth + b"}"
        ).decode()
        authority = CountingAuthority()
        error = authority.refusal(f"{header.rstrip('=')}.e30.AAAA")
        assert error.refusal is TokenRefusal.MALFORMED
        assert "header" in str(error)
        assert authority.signatures == 0


class TestMintedTokens:
    def test_the_signature_of_a_minted_token_is_not_checked(self) -> None:
        authority = CountingAuthority()
        token = authority.mint(claims())
        assert authority.is_known(token)
        assert authority.verify(token, now_ms=NOW_SECONDS * 1_000) == claims()
        assert authority.signatures == 0

    def test_a_minted_token_with_another_signature_or_payload_is_refused(self) -> None:
        authority = CountingAuthority()
        first, second = (authority.mint(claims(user_id=name)).split(".") for name in ("a", "b"))
        for parts in ([*first[:2], second[2]], [first[0], second[1], first[2]]):
            assert authority.refusal(".".join(parts)).refusal is TokenRefusal.SIGNATURE
        assert authority.signatures == 2

    def test_a_minted_token_expires_and_is_no_connection_token(self) -> None:
        authority = CountingAuthority()
        token = authority.mint(claims(expires_at_seconds=NOW_SECONDS))
        assert authority.refusal(token).refusal is TokenRefusal.EXPIRED
        assert authority.connection_refusal(token).refusal is TokenRefusal.SIGNATURE

    def test_the_newest_minted_tokens_are_kept_and_older_ones_are_valid(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("stagebook.manager.tokens.jwt_authority.MINTED_TOKENS", 3)
        authority = CountingAuthority()
        tokens = [authority.mint(claims(user_id=str(number))) for number in range(5)]
        assert [authority.is_known(token) for token in tokens] == [False, False, True, True, True]
        for token in tokens:
            authority.verify(token, now_ms=NOW_SECONDS * 1_000)
        assert (authority.signatures, len(authority._minted)) == (2, 3)


class TestRefusedTokens:
    @pytest.mark.parametrize(
        "token",
        [
            FORGER.sign(payload()),
            KEY.sign(payload(version="2")),
            KEY.sign(payload(topic="other0000000")),
            OwnKey(KEY.arn).sign(connection()),
        ],
        ids=["signature", "payload", "topic", "connection"],
    )
    def test_the_signature_of_a_refused_token_is_checked_once(self, token: str) -> None:
        authority = CountingAuthority()
        assert not authority.is_known(token)
        errors = [authority.refusal(token) for _ in range(10)]
        assert authority.signatures == 1
        assert authority.is_known(token)
        assert len({(error.refusal, str(error)) for error in errors}) == 1

    def test_the_cache_is_bounded(self) -> None:
        authority = CountingAuthority(cache_size_tokens=3)
        tokens = [FORGER.sign(payload(user_id=str(number))) for number in range(5)]
        for token in tokens:
            authority.refusal(token)
        assert [authority.is_known(token) for token in tokens] == [False, False, True, True, True]
        assert len(authority._refusals._by_digest) == 3

    def test_a_token_of_an_unknown_key_is_valid_once_the_key_is_imported(self) -> None:
        authority = CountingAuthority(imported=())
        token = KEY.sign(payload())
        authority.refusal(token)
        assert not authority.is_known(token)
        authority.keys[KEY.arn] = KEY.private.public_key()
        assert authority.verify(token, now_ms=NOW_SECONDS * 1_000).key_arn == KEY.arn

    def test_a_refused_connection_token_is_no_refused_participant_token(self) -> None:
        authority = CountingAuthority()
        participant, opener = KEY.sign(payload()), KEY.sign(connection())
        authority.connection_refusal(participant)
        authority.refusal(opener)
        assert authority.verify(participant, now_ms=NOW_SECONDS * 1_000).stage_arn == STAGE
        assert authority.verify_connection(opener, now_ms=NOW_SECONDS * 1_000).account_id == ACCOUNT

    @pytest.mark.parametrize("token", ["", "a.b", "x" * (TOKEN_SIZE_BYTES + 1), "é.b.c"])
    def test_what_has_not_the_form_of_a_token_costs_no_signature(self, token: str) -> None:
        authority = CountingAuthority()
        assert authority.is_known(token)
        assert authority.refusal(token).refusal is TokenRefusal.MALFORMED
        assert authority.signatures == 0


def claims(**members: Any) -> Claims:  # noqa: ANN401 - members of Claims
    return Claims(
        **{
            "participant_id": "abCDEf12GHIj",
            "stage_arn": STAGE,
            "capabilities": frozenset(Capability),
            "issued_at_seconds": NOW_SECONDS,
            "expires_at_seconds": NOW_SECONDS + 3_600,
            **members,
        }
    )


def read_by_front_end(token: str) -> Any:  # noqa: ANN401 - decoded JSON
    """JSON.parse(atob(token.split(".")[1])): `atob` knows only base64, and returns a character for each byte."""
    part = token.split(".")[1]
    assert set(part) <= set(string.ascii_letters + string.digits + "+/")
    return json.loads(base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1"))


class TestFrontEnds:
    @settings(max_examples=60, deadline=None)
    @given(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.dictionaries(
            st.text('aé>?~\x7f\x00"\\😀-_/+', max_size=9), st.text('aé>?~\x7f\x00"\\😀', max_size=9), max_size=3
        ),
    )
    def test_the_payload_is_readable_with_atob(self, user_id: str, attributes: dict[str, str]) -> None:
        token = CountingAuthority().mint(claims(user_id=user_id, attributes=attributes))
        seen = read_by_front_end(token)
        assert (seen.get("user_id", ""), seen.get("attributes", {})) == (user_id, attributes)

    @pytest.mark.parametrize("character", ["\x01", "?", "é", "\uffff", "😀"])
    def test_the_largest_token_is_accepted(self, character: str) -> None:
        size = len(character.encode())
        largest = claims(user_id="😀" * 128, attributes={"k": character * (1_023 // size)}, participant_id="p" * 64)
        authority = CountingAuthority()
        token = authority.mint(largest)
        assert len(token) <= TOKEN_SIZE_BYTES
        assert authority.verify(token, now_ms=NOW_SECONDS * 1_000) == largest

"""The keys of tests sign tokens that the server accepts, for their own account only."""

import pytest

from stagebook.manager.controlled.keys_of_tests import KeysOfTests
from stagebook.manager.tokens.jwt_authority import JwtAuthority, new_private_key_pem, no_imported_keys
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Capability
from tests.manager.manager_harness import SeededRandomness

ENDPOINTS = Endpoints(events="wss://e", whip="https://w", rtmp=None, rtmps=None)
NOW_SECONDS = 1_700_000_000


def claims(account_id: str = "123456789012") -> Claims:
    return Claims(
        participant_id="ann",
        stage_arn=f"arn:aws:ivs:us-west-2:{account_id}:stage/abcdABCDefgh",
        capabilities=frozenset({Capability.SUBSCRIBE}),
        user_id="Ann",
        attributes={"role": "guest"},
        issued_at_seconds=NOW_SECONDS,
        expires_at_seconds=NOW_SECONDS + 60,
    )


def authority(keys: KeysOfTests) -> JwtAuthority:
    return JwtAuthority(
        private_key_pem=new_private_key_pem(), endpoints=ENDPOINTS, find_key=keys.before(no_imported_keys)
    )


def test_a_signed_token_is_valid_and_self_signed() -> None:
    keys = KeysOfTests(SeededRandomness())
    verified = authority(keys).verify(keys.sign(claims(), ENDPOINTS), now_ms=NOW_SECONDS * 1_000)
    assert verified.key_arn is not None
    assert verified.key_arn.startswith("arn:aws:ivs:us-west-2:123456789012:public-key/")
    assert authority(keys).has_key(verified.key_arn)
    assert not authority(keys).has_key(f"{verified.key_arn[:-4]}none")
    assert (verified.participant_id, verified.user_id, verified.attributes) == ("ann", "Ann", {"role": "guest"})


def test_each_account_has_a_key_of_its_own() -> None:
    keys = KeysOfTests(SeededRandomness())
    arns = {
        authority(keys).verify(keys.sign(claims(account_id), ENDPOINTS), now_ms=None).key_arn
        for account_id in ("123456789012", "210987654321", "123456789012")
    }
    assert len(arns) == 2


def test_another_server_does_not_know_the_key() -> None:
    token = KeysOfTests(SeededRandomness()).sign(claims(), ENDPOINTS)
    with pytest.raises(TokenRefusedError) as caught:
        authority(KeysOfTests(SeededRandomness())).verify(token, now_ms=None)
    assert caught.value.refusal is TokenRefusal.SIGNATURE

"""The text of a bearer key, and what is kept of it."""

import re
from hashlib import sha256

import pytest

from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import BearerKey, digest_of, id_of, new_key_text
from stagebook.server.system_clock import SystemRandomness


def test_a_new_key_has_an_id_and_260_random_bits() -> None:
    text = new_key_text(SystemRandomness())
    assert re.fullmatch(r"sbk_[a-z2-7]{10}_[a-z2-7]{52}", text)
    assert id_of(text) == text.split("_")[1]
    assert new_key_text(SystemRandomness()) != text


def test_a_key_is_kept_as_the_sha256_of_its_text() -> None:
    assert digest_of("sbk_a") == sha256(b"sbk_a").hexdigest()


@pytest.mark.parametrize("text", ["", "sbk_", "sbk_abc_def", "sbk_" + "a" * 10 + "_" + "A" * 52, "x" * 100_000, "é"])
def test_another_text_has_no_id(text: str) -> None:
    assert id_of(text) is None


@pytest.mark.parametrize(("expires_ms", "is_valid"), [(None, True), (1_001, True), (1_000, False)])
def test_a_key_is_valid_until_it_expires(expires_ms: int | None, *, is_valid: bool) -> None:
    key = BearerKey(
        key_id="a" * 10, digest="0" * 64, role=Role.READER, account_id="1" * 12, created_ms=0, expires_ms=expires_ms
    )
    assert key.is_valid_at(1_000) is is_valid
    assert "0000" not in repr(key)

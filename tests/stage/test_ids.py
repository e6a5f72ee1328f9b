"""The forms of ids, stream keys and ARNs."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.stage.arns import Arn, account_in, parse_arn
from stagebook.stage.errors import MalformedArnError
from stagebook.stage.ids import (
    new_arn,
    new_connection_id,
    new_participant_id,
    new_session_id,
    new_stream_key,
)


class Seeded:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token_bytes(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


@given(st.integers())
def test_ids_have_their_documented_forms(seed: int) -> None:
    randomness = Seeded(seed)

    assert re.fullmatch(r"st-[a-zA-Z0-9]{13}", new_session_id(randomness))
    assert re.fullmatch(r"[a-zA-Z0-9]{12}", new_participant_id(randomness))
    assert re.fullmatch(
        r"[a-zA-Z0-9]{12}",
        new_arn(region="us-west-2", account_id="1", resource_type="stage", randomness=randomness).resource_id,
    )
    assert re.fullmatch(r"[0-9a-f]{32}", new_connection_id(randomness))


@given(st.integers())
def test_a_stream_key_names_its_configuration_and_ends_with_thirty_random_characters(seed: int) -> None:
    randomness = Seeded(seed)
    arn = parse_arn("arn:aws:ivs:us-west-2:123456789012:ingest-configuration/AbCdEfGh1234")

    keys = [new_stream_key(arn, randomness) for _ in range(20)]

    assert all(re.fullmatch(r"rt_123456789012_us-west-2_AbCdEfGh1234_[a-zA-Z0-9]{30}", key) for key in keys)
    assert all(len(set(letters)) > 1 for letters in zip(*(key[-30:] for key in keys), strict=True))


@pytest.mark.parametrize(
    ("text", "account_id"),
    [("arn:aws:ivs:us-west-2:123456789012:stage/x", "123456789012"), ("arn:aws:ivs:us-west-2:1", None), ("", None)],
)
def test_the_account_in_an_arn_is_found_without_parsing_it(text: str, account_id: str | None) -> None:
    assert account_in(text) == account_id


def test_an_arn_is_parsed_and_formatted() -> None:
    text = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"

    arn = parse_arn(text)

    assert arn == Arn(region="us-west-2", account_id="123456789012", resource_type="stage", resource_id="abcdABCDefgh")
    assert str(arn) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn:aws:ivs:us-west-2:123456789012:stage",
        "arn:aws:s3:us-west-2:123456789012:stage/x",
        "arn:aws:ivs:us-west-2:123456789012:stage/x\n",
        "arn:aws:ivs:us-west-2:12345678901a:stage/x",
        "arn:aws:ivs:us-west-2:123456789012:stage/" + "x" * 100,
    ],
)
def test_a_string_that_is_no_arn_is_refused(text: str) -> None:
    with pytest.raises(MalformedArnError):
        parse_arn(text)

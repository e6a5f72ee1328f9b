"""The ingest configuration that a stream key names, and strings that have not the form of a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.stage.arns import parse_arn
from stagebook.stage.ids import new_stream_key
from stagebook.stage.stream_keys import configuration_of_stream_key
from tests.stage.test_ids import Seeded

ARN = parse_arn("arn:aws:ivs:us-west-2:123456789012:ingest-configuration/AbCdEfGh1234")
KEY = "rt_123456789012_us-west-2_AbCdEfGh1234_abcd1234efgh5678ijkl9012MNOP34"


@given(st.integers())
def test_a_created_key_names_its_configuration(seed: int) -> None:
    assert configuration_of_stream_key(new_stream_key(ARN, Seeded(seed))) == ARN


def test_the_sample_of_the_documentation_is_parsed() -> None:
    assert configuration_of_stream_key(KEY) == ARN


@pytest.mark.parametrize("text", [KEY[:-1], KEY + "x"])
def test_a_key_with_a_secret_of_the_wrong_length_still_names_its_configuration(text: str) -> None:
    assert configuration_of_stream_key(text) == ARN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "live",
        KEY.removeprefix("rt_"),
        KEY + "\n",
        " " + KEY,
        KEY.replace("us-west-2", "US-WEST-2"),
        KEY.replace("123456789012", "12345678901a"),
        KEY.replace("123456789012", "١٢٣٤٥٦٧٨٩٠١٢"),
        KEY.replace("123456789012", "1" * 200),
        KEY.replace("us-west-2", "us_west_2"),
        KEY.replace("AbCdEfGh1234", "../../etc"),
        KEY.replace("AbCdEfGh1234", ""),
        KEY.replace("abcd", "ab\0d"),
        KEY.replace("abcd", "äbcd"),
    ],
)
def test_other_strings_are_no_keys(text: str) -> None:
    assert configuration_of_stream_key(text) is None


@given(st.text(max_size=200))
def test_arbitrary_strings_do_not_raise(text: str) -> None:
    named = configuration_of_stream_key(text)
    assert named is None or parse_arn(str(named)) == named

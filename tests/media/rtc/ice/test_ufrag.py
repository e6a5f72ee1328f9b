"""Username fragments name the engine that made them."""

import random

import pytest

from stagebook.media.rtc.engine_settings import MAX_ENGINES
from stagebook.media.rtc.ice.ufrag import ICE_CHARACTERS, engine_of, make_credentials


@pytest.mark.parametrize("number", range(MAX_ENGINES))
def test_a_fragment_names_its_engine(number: int) -> None:
    assert engine_of(make_credentials(random.Random(number), engine_number=number).ufrag) == number


def test_each_possible_engine_has_a_character() -> None:
    assert len(set(ICE_CHARACTERS)) == MAX_ENGINES


def test_credentials_have_the_random_bits_that_ice_wants() -> None:
    credentials = make_credentials(random.Random(1), engine_number=0)
    assert len(credentials.ufrag) - 1 >= 24 / 6
    assert len(credentials.pwd) >= 128 / 6


@pytest.mark.parametrize("ufrag", ["", "-abc", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_what_no_engine_can_have_made_names_none(ufrag: str) -> None:
    assert engine_of(ufrag) is None

"""A sealed position is valid for its binding, its purpose and its secret only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.position_seal import TOKEN_LENGTH, PositionSeal

SEAL = PositionSeal(secret=b"a secret", purpose=b"list")
BINDING = ("List", "123456789012", {"stage": "a", "user": "b"})


@given(position=st.integers(-(2**63), 2**63 - 1))
def test_a_position_comes_back(position: int) -> None:
    token = SEAL.seal(position, binding=BINDING)
    assert len(token) == TOKEN_LENGTH
    assert SEAL.open(token, binding=BINDING) == position


def test_the_order_of_members_has_no_meaning() -> None:
    assert SEAL.open(SEAL.seal(7, binding={"a": 1, "b": 2}), binding={"b": 2, "a": 1}) == 7


@pytest.mark.parametrize(
    ("seal", "binding"),
    [
        (SEAL, ("List", "123456789012", {"stage": "a"})),
        (PositionSeal(secret=b"another secret", purpose=b"list"), BINDING),
        (PositionSeal(secret=b"a secret", purpose=b"search"), BINDING),
    ],
)
def test_another_binding_purpose_or_secret_refuses_a_token(seal: PositionSeal, binding: object) -> None:
    assert seal.open(SEAL.seal(7, binding=BINDING), binding=binding) is None


@given(token=st.text(max_size=TOKEN_LENGTH + 1))
def test_other_texts_are_refused(token: str) -> None:
    assert SEAL.open(token, binding=BINDING) is None

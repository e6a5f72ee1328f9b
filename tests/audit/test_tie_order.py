"""If any order of the events of one time keeps the rules, the order that is returned does."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audit.histories import audited

BEFORE = {
    "absent": [],
    "present": ["1/JOINED"],
    "publishing": ["1/JOINED", "2/PUBLISH_STARTED"],
    "watching": ["1/JOINED", "2/SUBSCRIBE_STARTED bob"],
    "both": ["1/JOINED", "2/PUBLISH_STARTED", "3/SUBSCRIBE_STARTED bob"],
}
TIED = (
    *("9/JOINED", "9/LEFT", "9/PUBLISH_STARTED", "9/PUBLISH_STOPPED", "9/SUBSCRIBE_STARTED bob"),
    *("9/SUBSCRIBE_STOPPED bob", "9/SUBSCRIBE_STARTED eve", "9/SUBSCRIBE_STOPPED eve"),
)


@given(before=st.sampled_from(sorted(BEFORE)), tied=st.lists(st.sampled_from(TIED), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_an_order_is_found_if_there_is_one(before: str, tied: list[str]) -> None:
    exists = any(audited(BEFORE[before] + list(order))[0] == [] for order in permutations(tied))
    assert (audited(BEFORE[before] + tied, cause=None)[0] == []) == exists

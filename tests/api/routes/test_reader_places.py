"""The limits of open streams: in total, of one account, and with one key."""

from contextlib import ExitStack

import pytest

from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import Role
from stagebook.api.routes.reader_places import ReaderPlaces


class NamedWatcher:
    """A caller of an account with a key."""

    def __init__(self, account_id: str, name: str) -> None:
        self.account_id = account_id
        self.name = name

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Allow it."""


def take(places: ReaderPlaces, taken: ExitStack, account_id: str, name: str, count: int) -> None:
    for _ in range(count):
        taken.callback(places.take(NamedWatcher(account_id, name)).give_back)


def test_a_key_an_account_and_all_together_have_a_limit_and_places_are_given_back() -> None:
    places = ReaderPlaces(8)
    with ExitStack() as taken:
        take(places, taken, "1", "first", 4)
        with pytest.raises(ApiRefusedError, match="this key has 4 open streams") as refused:
            take(places, taken, "1", "first", 1)
        assert refused.value.status == 429
        take(places, taken, "1", "second", 2)
        with pytest.raises(ApiRefusedError, match="this account has 6 open streams") as refused:
            take(places, taken, "1", "third", 1)
        assert refused.value.status == 429
        take(places, taken, "2", "first", 2)
        with pytest.raises(ApiRefusedError, match="the server has 8 open streams") as refused:
            take(places, taken, "3", "first", 1)
        assert refused.value.status == 503
    assert places.taken == 0
    with ExitStack() as taken:
        take(places, taken, "1", "first", 4)


def test_a_thousand_readers_have_a_place_with_one_key_by_default() -> None:
    with ExitStack() as taken:
        take(ReaderPlaces(2_000), taken, "1", "key", 1_000)

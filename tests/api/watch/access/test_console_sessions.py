"""The sessions of the console: when they end, and how many there are."""

import pytest

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.api.watch.access.console_sessions import (
    IDLE_SECONDS,
    LIFETIME_SECONDS,
    MAXIMUM_SESSIONS,
    MAXIMUM_SESSIONS_PER_KEY,
    ConsoleSessions,
    session_account,
)
from stagebook.server.system_clock import SystemRandomness
from tests.api.watch.access.key_store import KeyStore


class Sessions:
    """Sessions with clocks and keys of a KeyStore."""

    def __init__(self) -> None:
        self.store = KeyStore()
        self.keys = self.store.bearer_keys()
        self.sessions = ConsoleSessions(
            keys=self.keys, randomness=SystemRandomness(), monotonic=lambda: self.store.seconds
        )

    def new_key(self) -> BearerKey:
        self.store.create()
        self.store.pass_refresh()
        return self.store.keys[-1]

    def is_open(self, session_id: str) -> bool:
        return self.sessions.use(session_id) is not None


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


def test_a_session_has_the_key_that_opened_it(sessions: Sessions) -> None:
    key = sessions.new_key()
    session_id = sessions.sessions.open(key)
    found = sessions.sessions.use(session_id)
    assert found is not None
    assert found[1] == key
    assert session_id not in repr(found[0])
    assert not sessions.is_open(session_id[:-1])


def test_a_session_ends_when_it_is_not_used(sessions: Sessions) -> None:
    session_id = sessions.sessions.open(sessions.new_key())
    sessions.store.seconds += IDLE_SECONDS - 1
    assert sessions.is_open(session_id)
    sessions.store.seconds += IDLE_SECONDS - 1
    assert sessions.is_open(session_id)
    sessions.store.seconds += IDLE_SECONDS
    assert not sessions.is_open(session_id)
    assert len(sessions.sessions) == 0


def test_a_session_that_is_used_all_the_time_ends_too(sessions: Sessions) -> None:
    session_id = sessions.sessions.open(sessions.new_key())
    uses = 0
    while sessions.is_open(session_id):
        sessions.store.seconds += IDLE_SECONDS / 2
        uses += 1
    assert uses == LIFETIME_SECONDS / (IDLE_SECONDS / 2)


def test_a_session_ends_with_its_key(sessions: Sessions) -> None:
    key = sessions.new_key()
    session_id = sessions.sessions.open(key)
    sessions.store.revoke(f"sbk_{key.key_id}_" + "a" * 52)
    sessions.store.pass_refresh()
    assert not sessions.is_open(session_id)


def test_a_closed_session_has_ended(sessions: Sessions) -> None:
    session_id = sessions.sessions.open(sessions.new_key())
    found = sessions.sessions.use(session_id)
    assert found is not None
    sessions.sessions.close(found[0].digest)
    assert not sessions.is_open(session_id)


def test_the_sessions_of_a_key_have_a_bound(sessions: Sessions) -> None:
    key, other = sessions.new_key(), sessions.new_key()
    of_other = sessions.sessions.open(other)
    first, *rest = [sessions.sessions.open(key) for _ in range(MAXIMUM_SESSIONS_PER_KEY + 1)]
    assert not sessions.is_open(first)
    assert all(sessions.is_open(session_id) for session_id in (of_other, *rest))


def test_the_sessions_of_all_keys_have_a_bound(sessions: Sessions) -> None:
    for _ in range(MAXIMUM_SESSIONS // MAXIMUM_SESSIONS_PER_KEY):
        key = sessions.new_key()
        for _ in range(MAXIMUM_SESSIONS_PER_KEY):
            sessions.sessions.open(key)
    sessions.sessions.open(sessions.new_key())
    assert len(sessions.sessions) == MAXIMUM_SESSIONS


def test_a_session_id_begins_with_the_account(sessions: Sessions) -> None:
    key = sessions.new_key()
    session_id = sessions.sessions.open(key)
    assert session_account(session_id) == key.account_id
    for malformed in ("", "x", session_id[1:], session_id[:-1], session_id.upper() + "g"):
        assert session_account(malformed) is None

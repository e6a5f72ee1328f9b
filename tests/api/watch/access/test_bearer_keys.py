"""The bearer keys of a running server: which are valid, and when a change is noticed."""

from structlog.testing import capture_logs

from tests.api.watch.access.key_store import KeyStore


def test_a_key_is_found_by_its_text_only() -> None:
    store = KeyStore()
    text, other = store.create(), store.create()
    keys = store.bearer_keys()
    found = keys.authenticate(text)
    assert found is not None
    assert found.key_id == text.split("_")[1]
    # The id of one key with the secret of another one.
    assert keys.authenticate(f"sbk_{text.split('_')[1]}_{other.split('_')[2]}") is None
    assert keys.authenticate("") is None


def test_an_expired_key_is_not_found() -> None:
    store = KeyStore()
    text = store.create(expires_ms=store.now_ms + 1)
    keys = store.bearer_keys()
    assert keys.authenticate(text) is not None
    store.now_ms += 1
    assert keys.authenticate(text) is None


def test_new_and_revoked_keys_are_noticed_after_a_second() -> None:
    store = KeyStore()
    text = store.create()
    keys = store.bearer_keys()
    assert keys.authenticate(text) is not None
    store.revoke(text)
    new = store.create()
    store.pass_refresh()
    assert keys.authenticate(text) is None
    assert keys.authenticate(new) is not None


def test_the_file_is_looked_at_once_a_second_and_read_after_a_change_only() -> None:
    store = KeyStore()
    text = store.create()
    keys = store.bearer_keys()
    for _ in range(100):
        keys.authenticate(text)
    assert (store.stamps, store.reads) == (1, 1)
    store.pass_refresh()
    for _ in range(100):
        keys.authenticate(text)
    assert (store.stamps, store.reads) == (2, 1)


def test_no_key_is_valid_while_the_file_cannot_be_read() -> None:
    store = KeyStore()
    text = store.create()
    keys = store.bearer_keys()
    assert keys.authenticate(text) is not None
    store.damage()
    with capture_logs() as lines:
        for _ in range(3):
            store.pass_refresh()
            assert keys.authenticate(text) is None
    assert len(lines) == 1
    store.is_damaged = False
    store.pass_refresh()
    assert keys.authenticate(text) is not None

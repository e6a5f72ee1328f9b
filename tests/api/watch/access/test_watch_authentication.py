"""Who makes a request: bearer keys, failures, and a server without authentication."""

import pytest
from structlog.testing import capture_logs

from stagebook.api.access.failed_attempts import FAILURES_BURST
from stagebook.api.asgi import Scope
from stagebook.api.watch.access.browser_guard import BrowserGuard
from stagebook.api.watch.access.watch_authentication import WatchAuthentication
from stagebook.api.watch.watch_problems import WatchRefusedError
from stagebook.api.watch.watch_route import Role, Watcher
from stagebook.log_rate_limit import MAX_LINES
from tests.api.watch.access.key_store import ACCOUNT_ID, REGION, KeyStore


def access_of(store: KeyStore, *, open_account_id: str | None = None) -> WatchAuthentication:
    return WatchAuthentication(
        keys=store.bearer_keys(),
        guard=BrowserGuard(hosts=[]),
        region=REGION,
        monotonic=lambda: store.seconds,
        open_account_id=open_account_id,
    )


async def no_body() -> bytes:
    raise AssertionError("the body must not be read")


def scope(*headers: tuple[str, str], address: str = "192.0.2.1") -> Scope:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in (("host", "127.0.0.1"), *headers)]
    return {"type": "http", "method": "GET", "headers": lines, "client": (address, 1)}


async def caller(access: WatchAuthentication, key: str, *, address: str = "192.0.2.1") -> Watcher:
    return await access.authenticate(scope(("authorization", f"Bearer {key}"), address=address), no_body)


async def refusal(access: WatchAuthentication, *headers: tuple[str, str]) -> WatchRefusedError:
    with pytest.raises(WatchRefusedError) as refused:
        await access.authenticate(scope(*headers), no_body)
    return refused.value


async def test_the_holder_of_a_key_has_its_account_name_and_role() -> None:
    store = KeyStore()
    text = store.create(Role.READER, name="dashboard")
    watcher = await caller(access_of(store), text)
    assert (watcher.account_id, watcher.name) == (ACCOUNT_ID, f"{text.split('_')[1]} (dashboard)")
    watcher.require("stagebook:SearchEvents", Role.READER)
    with pytest.raises(WatchRefusedError, match="needs the role operator"):
        watcher.require("stagebook:CreateDestination", Role.OPERATOR)


async def test_a_key_that_is_revoked_during_a_request_allows_nothing_more() -> None:
    store = KeyStore()
    text = store.create()
    watcher = await caller(access_of(store), text)
    store.revoke(text)
    store.pass_refresh()
    with pytest.raises(WatchRefusedError) as refused:
        watcher.require("stagebook:TailEvents", Role.READER)
    assert refused.value.status == 401


async def test_every_failure_has_the_same_answer() -> None:
    store = KeyStore()
    expired, revoked, valid = store.create(expires_ms=0), store.create(), store.create()
    access = access_of(store)
    store.revoke(revoked)
    wrong = [expired, revoked, valid[:-1] + ("a" if valid[-1] != "a" else "b"), "sbk_x", "", "é" * 50]
    refusals = [await refusal(access, ("authorization", f"Bearer {key}")) for key in wrong]
    assert {(error.status, error.detail, error.headers) for error in refusals} == {
        (401, "the key is unknown, expired or revoked", ((b"www-authenticate", b'Bearer realm="Stagebook"'),))
    }


async def test_a_request_without_a_key_is_refused() -> None:
    access = access_of(KeyStore())
    assert (await refusal(access)).status == 401
    assert (await refusal(access, ("authorization", "Basic eDp5"))).status == 401


async def test_failures_are_limited_but_a_valid_key_of_the_same_address_is_accepted() -> None:
    store = KeyStore()
    text = store.create()
    access = access_of(store)
    statuses = [(await refusal(access, ("authorization", "Bearer x"))).status for _ in range(FAILURES_BURST + 2)]
    assert statuses == [401] * FAILURES_BURST + [429, 429]
    assert (await caller(access, text)).account_id == ACCOUNT_ID


async def test_failures_are_logged_with_the_id_at_a_limited_rate_and_without_the_key() -> None:
    store = KeyStore()
    access = access_of(store)
    wrong = "sbk_" + "a" * 10 + "_" + "b" * 52
    with capture_logs() as lines:
        for _ in range(MAX_LINES + 5):
            await refusal(access, ("authorization", f"Bearer {wrong}"))
    assert [(line["key_id"], line["address"]) for line in lines] == [("a" * 10, "192.0.2.1")] * MAX_LINES
    assert "bbb" not in str(lines)


async def test_without_authentication_everybody_is_an_operator_of_the_account() -> None:
    access = access_of(KeyStore(), open_account_id=ACCOUNT_ID)
    watcher = await access.authenticate(scope(), no_body)
    watcher.require("stagebook:CreateDestination", Role.OPERATOR)
    assert watcher.account_id == ACCOUNT_ID


@pytest.mark.parametrize("header", [("host", "evil.example"), ("origin", "http://evil.example")])
async def test_without_authentication_pages_of_other_origins_are_refused(header: tuple[str, str]) -> None:
    assert (await refusal(access_of(KeyStore(), open_account_id=ACCOUNT_ID), header)).status == 403

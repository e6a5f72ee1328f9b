"""Who makes a request: bearer keys, failures, and a server without authentication."""

import pytest
from structlog.testing import capture_logs

from stagebook.api.access.failed_attempts import FAILURES_BURST
from stagebook.api.asgi import Scope
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import ApiCaller, Role
from stagebook.api.watch.access.watch_authentication import WatchAuthentication
from stagebook.log_rate_limit import MAX_LINES
from tests.api.watch.access.access_harness import AccessHarness
from tests.api.watch.access.key_store import ACCOUNT_ID


async def no_body() -> bytes:
    raise AssertionError("the body must not be read")


def scope(*headers: tuple[str, str], address: str = "192.0.2.1") -> Scope:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in (("host", "127.0.0.1"), *headers)]
    return {"type": "http", "method": "GET", "headers": lines, "client": (address, 1)}


async def caller(access: WatchAuthentication, key: str, *, address: str = "192.0.2.1") -> ApiCaller:
    return await access.authenticate(scope(("authorization", f"Bearer {key}"), address=address), no_body)


async def refusal(access: WatchAuthentication, *headers: tuple[str, str]) -> ApiRefusedError:
    with pytest.raises(ApiRefusedError) as refused:
        await access.authenticate(scope(*headers), no_body)
    return refused.value


async def test_the_holder_of_a_key_has_its_account_name_and_role() -> None:
    harness = AccessHarness()
    store = harness.store
    text = store.create(Role.READER, name="dashboard")
    watcher = await caller(harness.authentication, text)
    assert (watcher.account_id, watcher.name) == (ACCOUNT_ID, f"{text.split('_')[1]} (dashboard)")
    watcher.require("stagebook:SearchEvents", Role.READER)
    with pytest.raises(ApiRefusedError, match="needs the role operator"):
        watcher.require("stagebook:CreateDestination", Role.OPERATOR)


async def test_a_key_that_is_revoked_during_a_request_allows_nothing_more() -> None:
    harness = AccessHarness()
    store = harness.store
    text = store.create()
    watcher = await caller(harness.authentication, text)
    store.revoke(text)
    store.pass_refresh()
    with pytest.raises(ApiRefusedError) as refused:
        watcher.require("stagebook:TailEvents", Role.READER)
    assert refused.value.status == 401


async def test_every_failure_has_the_same_answer() -> None:
    harness = AccessHarness()
    store = harness.store
    expired, revoked, valid = store.create(expires_ms=0), store.create(), store.create()
    access = harness.authentication
    store.revoke(revoked)
    wrong = [expired, revoked, valid[:-1] + ("a" if valid[-1] != "a" else "b"), "sbk_x", "", "é" * 50]
    refusals = [await refusal(access, ("authorization", f"Bearer {key}")) for key in wrong]
    assert {(error.status, error.detail, error.headers) for error in refusals} == {
        (401, "the key is unknown, expired or revoked", ((b"www-authenticate", b'Bearer realm="Stagebook"'),))
    }


async def test_a_request_without_a_key_is_refused() -> None:
    access = AccessHarness().authentication
    assert (await refusal(access)).status == 401
    assert (await refusal(access, ("authorization", "Basic eDp5"))).status == 401


async def test_failures_are_limited_but_a_valid_key_of_the_same_address_is_accepted() -> None:
    harness = AccessHarness()
    store = harness.store
    text = store.create()
    access = harness.authentication
    statuses = [(await refusal(access, ("authorization", "Bearer x"))).status for _ in range(FAILURES_BURST + 2)]
    assert statuses == [401] * FAILURES_BURST + [429, 429]
    assert (await caller(access, text)).account_id == ACCOUNT_ID


async def test_failures_are_logged_with_the_id_at_a_limited_rate_and_without_the_key() -> None:
    harness = AccessHarness()
    access = harness.authentication
    wrong = "sbk_" + "a" * 10 + "_" + "b" * 52
    with capture_logs() as lines:
        for _ in range(MAX_LINES + 5):
            await refusal(access, ("authorization", f"Bearer {wrong}"))
    assert [(line["key_id"], line["address"]) for line in lines] == [("a" * 10, "192.0.2.1")] * MAX_LINES
    assert "bbb" not in str(lines)


async def test_without_authentication_everybody_is_an_operator_of_the_account() -> None:
    access = AccessHarness(open_account_id=ACCOUNT_ID).authentication
    watcher = await access.authenticate(scope(), no_body)
    watcher.require("stagebook:CreateDestination", Role.OPERATOR)
    assert watcher.account_id == ACCOUNT_ID


@pytest.mark.parametrize("header", [("host", "evil.example"), ("origin", "http://evil.example")])
async def test_without_authentication_pages_of_other_origins_are_refused(header: tuple[str, str]) -> None:
    assert (await refusal(AccessHarness(open_account_id=ACCOUNT_ID).authentication, header)).status == 403


async def test_a_session_that_only_reads_needs_no_header_field_of_the_console() -> None:
    harness = AccessHarness()
    cookie = ("cookie", await harness.sign_in(harness.store.create()))
    watcher = await harness.authentication.authenticate(scope(cookie), no_body)
    watcher.require("stagebook:SearchEvents", Role.READER)


@pytest.mark.parametrize(
    "header",
    [("host", "evil.example"), ("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-site")],
)
async def test_a_session_is_of_no_use_to_other_pages(header: tuple[str, str]) -> None:
    harness = AccessHarness()
    cookie = ("cookie", await harness.sign_in(harness.store.create()))
    assert (await refusal(harness.authentication, cookie, header)).status == 403


async def test_a_session_that_has_ended_is_refused() -> None:
    harness = AccessHarness()
    key = harness.store.create()
    cookie = ("cookie", await harness.sign_in(key))
    watcher = await harness.authentication.authenticate(scope(cookie), no_body)
    harness.store.revoke(key)
    harness.store.pass_refresh()
    assert (await refusal(harness.authentication, cookie)).status == 401
    with pytest.raises(ApiRefusedError, match="has ended"):
        watcher.require("stagebook:TailEvents", Role.READER)


async def test_a_key_is_preferred_to_a_cookie() -> None:
    harness = AccessHarness()
    cookie = ("cookie", await harness.sign_in(harness.store.create(Role.OPERATOR)))
    reader = harness.store.create(Role.READER)
    harness.store.pass_refresh()
    watcher = await harness.authentication.authenticate(scope(cookie, ("authorization", f"bearer {reader}")), no_body)
    with pytest.raises(ApiRefusedError, match="needs the role operator"):
        watcher.require("stagebook:CreateDestination", Role.OPERATOR)

"""Signing in and out, and /watch/v1/me."""

import pytest
from structlog.testing import capture_logs

from stagebook.api.access.failed_attempts import FAILURES_BURST
from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.console_sessions import LIFETIME_SECONDS, MAXIMUM_SESSIONS_PER_KEY
from tests.api.watch.access.access_harness import CONSOLE, URL, AccessHarness, bearer, document, set_cookie
from tests.api.watch.access.key_store import ACCOUNT_ID, REGION


async def test_a_key_becomes_a_cookie_that_authenticates() -> None:
    harness = AccessHarness()
    key = harness.store.create(Role.OPERATOR, name="anna")
    cookie = await harness.sign_in(key)
    assert key.split("_")[2] not in cookie
    shown = document(await harness.request("GET", "/watch/v1/me", headers={"cookie": cookie}))
    assert shown == {
        "accountId": ACCOUNT_ID,
        "name": f"{key.split('_')[1]} (anna)",
        "method": "session",
        "role": "operator",
        "expiresAt": "1970-01-01T02:16:40.000Z",
        "version": "1.2.3",
        "region": REGION,
        "endpointUrl": URL,
    }


async def test_the_holder_of_a_key_sees_when_it_expires() -> None:
    harness = AccessHarness()
    key = harness.store.create(expires_ms=2_000_000)
    shown = document(await harness.request("GET", "/watch/v1/me", headers=bearer(key)))
    assert (shown["method"], shown["role"], shown["expiresAt"]) == ("bearer_key", "reader", "1970-01-01T00:33:20.000Z")


async def test_the_cookie_is_strict_and_hidden_from_scripts() -> None:
    harness = AccessHarness(public_url="https://stages.example.com")
    response = await harness.request("POST", "/watch/v1/sign-in", body={"key": harness.store.create()}, headers=CONSOLE)
    cookie = set_cookie(response)
    assert cookie.startswith("__Host-stagebook=")
    assert cookie.endswith(f"; Path=/; Max-Age={int(LIFETIME_SECONDS)}; HttpOnly; SameSite=Strict; Secure")
    assert (b"cache-control", b"no-store") in response.headers


async def test_signing_out_ends_the_session() -> None:
    harness = AccessHarness()
    cookie = await harness.sign_in(harness.store.create())
    response = await harness.request("POST", "/watch/v1/sign-out", headers={"cookie": cookie, **CONSOLE})
    assert (response.status, response.body) == (204, b"")
    assert "Max-Age=0" in set_cookie(response)
    assert (await harness.request("GET", "/watch/v1/me", headers={"cookie": cookie})).status == 401


async def test_signing_out_with_a_key_ends_no_session() -> None:
    harness = AccessHarness()
    key = harness.store.create()
    cookie = await harness.sign_in(key)
    assert (await harness.request("POST", "/watch/v1/sign-out", headers=bearer(key))).status == 204
    assert (await harness.request("GET", "/watch/v1/me", headers={"cookie": cookie})).status == 200


async def test_each_sign_in_has_a_session_of_its_own() -> None:
    harness = AccessHarness()
    key = harness.store.create()
    # A cookie that somebody else has set is not taken over (session fixation).
    fixed = {"cookie": f"{harness.cookie.name}=0123", **CONSOLE}
    response = await harness.request("POST", "/watch/v1/sign-in", body={"key": key}, headers=fixed)
    assert not set_cookie(response).startswith(f"{harness.cookie.name}=0123")
    assert await harness.sign_in(key) != await harness.sign_in(key)


async def test_wrong_keys_are_refused_at_a_limited_rate() -> None:
    harness = AccessHarness()
    statuses = []
    for _ in range(FAILURES_BURST + 1):
        response = await harness.request("POST", "/watch/v1/sign-in", body={"key": "sbk_x"}, headers=CONSOLE)
        statuses.append(response.status)
    assert statuses == [401] * FAILURES_BURST + [429]
    assert len(harness.sessions) == 0


async def test_a_key_signs_in_at_a_limited_rate() -> None:
    harness = AccessHarness()
    key, other = harness.store.create(), harness.store.create()
    for _ in range(MAXIMUM_SESSIONS_PER_KEY):
        await harness.sign_in(key)
    refused = await harness.request("POST", "/watch/v1/sign-in", body={"key": key}, headers=CONSOLE)
    assert (refused.status, document(refused)["code"]) == (429, "TOO_MANY_REQUESTS")
    await harness.sign_in(other)
    harness.store.seconds += 1.0
    await harness.sign_in(key)


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({}, "127.0.0.1:8080"),
        ({"x-stagebook-console": "1", "origin": "http://evil.example"}, "127.0.0.1:8080"),
        ({"x-stagebook-console": "1", "sec-fetch-site": "cross-site"}, "127.0.0.1:8080"),
        ({"x-stagebook-console": "1", "origin": "http://evil.example"}, "evil.example"),
    ],
)
async def test_a_page_of_another_origin_cannot_sign_in(headers: dict[str, str], host: str) -> None:
    harness = AccessHarness()
    body = {"key": harness.store.create()}
    response = await harness.request("POST", "/watch/v1/sign-in", body=body, headers=headers, host=host)
    assert response.status == 403
    assert len(harness.sessions) == 0


async def test_the_form_of_a_page_has_no_json() -> None:
    harness = AccessHarness()
    headers = {**CONSOLE, "content-type": "text/plain"}
    body = {"key": harness.store.create()}
    assert (await harness.request("POST", "/watch/v1/sign-in", body=body, headers=headers)).status == 415


async def test_signing_in_and_out_is_logged_without_secrets() -> None:
    harness = AccessHarness()
    key = harness.store.create()
    with capture_logs() as lines:
        cookie = await harness.sign_in(key)
        await harness.request("POST", "/watch/v1/sign-out", headers={"cookie": cookie, **CONSOLE})
    assert [(line["event"], line["key_id"]) for line in lines] == [
        ("console sign-in", key.split("_")[1]),
        ("console sign-out", key.split("_")[1]),
    ]
    assert cookie.partition("=")[2] not in str(lines)
    assert key.split("_")[2] not in str(lines)

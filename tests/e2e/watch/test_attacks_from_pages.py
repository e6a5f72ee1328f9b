"""Web pages that attack a signed-in console, or a server without authentication, in a real Chromium.

The victim has signed in at http://localhost:<port of the server>. The attackers are pages of

* http://evil.example: another site. The browser resolves every name of `.example` to this machine.
* http://localhost:<another port>: the same site, so that the browser sends the cookie despite `SameSite=Strict`.
* http://rebind.example:<port of the server>: a page whose name was looked up again (DNS rebinding). Its requests are of
  its own origin, and the server sees a Host that an attacker owns.

What an attacker wants is a stage with the name ATTACKED, or to read an answer.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from tests.e2e.browser.chromium import running_chromium
from tests.e2e.browser.page_server import serve_pages
from tests.e2e.server import RunningServer, run_server
from tests.e2e.watch.bearer import create_key, wait_for_status

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREATE = "/watch/v1/operations/CreateStage"
LIST = "/watch/v1/operations/ListStages"

FETCH = """async ([url, options]) => {
    try {
        const response = await fetch(url, { credentials: "include", ...options });
        return { status: response.status, text: await response.text() };
    } catch (error) {
        return { status: 0, text: "" };
    }
}"""
"""Status 0 stands for a response that the page cannot read, and for a request that was not sent."""

SUBMIT_FORM = """(url) => {
    const form = document.createElement("form");
    form.method = "POST";
    form.action = url;
    form.enctype = "text/plain";
    const input = document.createElement("input");
    // The body of the request is name=value: JSON, with the equals sign inside of a string.
    input.name = '{"name": "ATTACKED", "tags": {"a": "';
    input.value = '"}}';
    form.append(input);
    document.body.append(form);
    form.submit();
}"""

KINDS = ("another site", "another port", "rebinding")
SIGN_OUT = ("/watch/v1/sign-out", "{}")
JSON_BODY = '{"name": "ATTACKED"}'
ATTACKS: dict[str, dict[str, Any]] = {
    "simple request": {"method": "POST", "body": JSON_BODY, "mode": "no-cors"},
    "form type": {"method": "POST", "body": JSON_BODY, "headers": {"Content-Type": "text/plain"}},
    "JSON": {"method": "POST", "body": JSON_BODY, "headers": {"Content-Type": "application/json"}},
    "console header": {
        "method": "POST",
        "body": JSON_BODY,
        "headers": {"Content-Type": "application/json", "X-Stagebook-Console": "1"},
    },
    "keepalive": {"method": "POST", "body": JSON_BODY, "mode": "no-cors", "keepalive": True},
}


class Victim:
    """A server, a browser that is signed in to it, and the URLs of the attackers' pages."""

    def __init__(self, server: RunningServer, context: BrowserContext, *, key: str, attacker_port: int) -> None:
        self.server = server
        self.context = context
        self._key = key
        self._client = httpx.Client()
        self.other_key = create_key(server, "reader") if key else ""
        port = urlsplit(server.endpoint_url).port
        self.url = f"http://localhost:{port}"
        self.pages = {
            "another site": f"http://evil.example:{attacker_port}/attacker/page.html",
            "another port": f"http://localhost:{attacker_port}/attacker/page.html",
            "rebinding": f"http://rebind.example:{port}/",
        }

    async def attacker(self, kind: str) -> tuple[Page, str]:
        """Return the attacker's page, opened in the victim's browser, and the URL under which it calls the server."""
        page = await self.context.new_page()
        await page.goto(self.pages[kind])
        return page, self.url if kind != "rebinding" else self.pages[kind].rstrip("/")

    async def close(self) -> None:
        """Close the browser's context and the connections."""
        await self.context.close()
        self._client.close()

    def stage_names(self) -> list[str]:
        """Return the names of all stages."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        response = self._client.post(self.server.endpoint_url + LIST, json={}, headers=headers)
        return [stage["name"] for stage in response.json()["stages"]]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def rebinding_browser(chromium_path: str) -> AsyncIterator[Browser]:
    """A browser that finds every name of `.example` on this machine."""
    async with running_chromium(chromium_path, "--host-resolver-rules=MAP *.example 127.0.0.1") as browser:
        yield browser


@pytest.fixture(scope="module")
def attacker_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("attacker")
    (folder / "page.html").write_text("<!doctype html><title>attacker</title>", encoding="utf-8")
    with serve_pages(attacker=folder) as url:
        yield urlsplit(url).port or 0


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def victim(
    tmp_path_factory: pytest.TempPathFactory, rebinding_browser: Browser, attacker_port: int
) -> AsyncIterator[Victim]:
    with run_server(tmp_path_factory.mktemp("victim") / "data", log_level="debug") as server:
        key = create_key(server, "operator")
        wait_for_status(server, "/watch/v1/me", key=key, status=200)
        context = await rebinding_browser.new_context()
        victim = Victim(server, context, key=key, attacker_port=attacker_port)
        page = await context.new_page()
        await page.goto(victim.url)
        options = {"method": "POST", "body": f'{{"key": "{key}"}}', "headers": ATTACKS["console header"]["headers"]}
        signed_in = await page.evaluate(FETCH, [f"{victim.url}/watch/v1/sign-in", options])
        assert signed_in["status"] == 200
        yield victim
        await victim.close()
        assert "level=error" not in server.log


async def test_the_console_itself_may_do_what_the_attackers_try(victim: Victim) -> None:
    page = await victim.context.new_page()
    await page.goto(victim.url)
    options = ATTACKS["console header"] | {"body": '{"name": "OWN"}'}
    created = await page.evaluate(FETCH, [victim.url + CREATE, options])
    assert created["status"] == 200
    assert "OWN" in victim.stage_names()
    shown = await page.evaluate(FETCH, [f"{victim.url}/watch/v1/me", {}])
    assert shown["status"] == 200
    # A page of the console that lacks the header field is refused, too.
    refused = await page.evaluate(FETCH, [victim.url + CREATE, ATTACKS["JSON"]])
    assert refused["status"] == 403
    assert await page.evaluate("() => document.cookie") == ""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_changes_nothing(victim: Victim, kind: str) -> None:
    page, url = await victim.attacker(kind)
    for attack in ATTACKS.values():
        result = await page.evaluate(FETCH, [url + CREATE, attack])
        # A rebinding page reads the refusal, because it is of its own origin.
        assert result["status"] in ({403} if kind == "rebinding" else {0})
    assert "ATTACKED" not in victim.stage_names()
    await page.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_reads_nothing(victim: Victim, kind: str) -> None:
    page, url = await victim.attacker(kind)
    for path in ("/watch/v1/me", "/watch/v1/events/stream"):
        result = await page.evaluate(FETCH, [url + path, {}])
        assert result["status"] in {0, 401, 403}
        assert "accountId" not in result["text"]
    await page.close()


@pytest.mark.parametrize(("kind", "status"), [("another site", 401), ("another port", 403), ("rebinding", 403)])
async def test_a_submitted_form_changes_nothing(victim: Victim, kind: str, status: int) -> None:
    page, url = await victim.attacker(kind)
    async with page.expect_navigation() as navigation:
        await page.evaluate(SUBMIT_FORM, url + CREATE)
    response = await navigation.value
    # Another site has no cookie; a page of the same site has it, and lacks the header field of the console.
    assert response is not None
    assert response.status == status
    assert "ATTACKED" not in victim.stage_names()
    await page.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_cannot_sign_its_visitor_in_or_out(victim: Victim, kind: str) -> None:
    page, url = await victim.attacker(kind)
    for path, body in (("/watch/v1/sign-in", f'{{"key": "{victim.other_key}"}}'), SIGN_OUT):
        for attack in ATTACKS.values():
            await page.evaluate(FETCH, [url + path, attack | {"body": body}])
    own = await victim.context.new_page()
    await own.goto(victim.url)
    shown = await own.evaluate(FETCH, [f"{victim.url}/watch/v1/me", {}])
    assert '"role":"operator"' in shown["text"]
    await page.close()


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server without authentication."""
    with run_server(tmp_path_factory.mktemp("open") / "data", auth="off") as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
async def test_without_authentication_a_page_changes_and_reads_nothing(
    open_server: RunningServer, rebinding_browser: Browser, attacker_port: int, kind: str
) -> None:
    context = await rebinding_browser.new_context()
    victim = Victim(open_server, context, key="", attacker_port=attacker_port)
    page, url = await victim.attacker(kind)
    for attack in ATTACKS.values():
        result = await page.evaluate(FETCH, [url + CREATE, attack])
        assert result["status"] in {0, 403}
    read = await page.evaluate(FETCH, [f"{url}/watch/v1/me", {}])
    assert read["status"] in {0, 403}
    assert victim.stage_names() == []
    await victim.close()

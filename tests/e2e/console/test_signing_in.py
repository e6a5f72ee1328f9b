"""Signing in with a key, staying signed in, and signing out."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.console.console_page import ConsolePage, open_console
from tests.e2e.server import RunningServer, run_server

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.console
async def test_a_wrong_key_is_refused_in_words(browser: Browser, server: RunningServer) -> None:
    async with open_console(browser, server.endpoint_url) as console:
        await console.open()
        await console.page.get_by_label("Key").fill("wrong")
        await console.page.get_by_role("button", name="Sign in").click()
        await expect(console.page.get_by_role("alert")).to_contain_text("This key is unknown, revoked or expired.")
        await expect(console.page.get_by_label("Key")).to_be_focused()


async def test_the_session_lasts_until_the_user_signs_out(
    browser: Browser, server: RunningServer, operator_key: str
) -> None:
    async with open_console(browser, server.endpoint_url) as console:
        await console.sign_in(operator_key)
        await console.page.reload()
        await console.heading("Overview")
        await console.page.get_by_role("button", name="Sign out").click()
        await console.heading("Sign in")
        await console.page.reload()
        await console.heading("Sign in")


async def test_a_script_cannot_read_the_session(console: ConsolePage) -> None:
    assert await console.page.evaluate("document.cookie") == ""
    assert await console.page.evaluate("Object.keys(localStorage)") == []


async def test_a_reader_is_offered_no_changes(browser: Browser, server: RunningServer, reader_key: str) -> None:
    async with open_console(browser, server.endpoint_url) as console:
        await console.sign_in(reader_key)
        await expect(console.page.get_by_role("heading", name="Stages")).to_be_visible()
        await expect(console.page.get_by_role("button", name="Create a stage")).to_have_count(0)


@pytest.mark.console
async def test_without_authentication_nobody_signs_in(browser: Browser, tmp_path: Path) -> None:
    with run_server(tmp_path / "data", auth="off") as server:
        async with open_console(browser, server.endpoint_url) as console:
            await console.open()
            await console.heading("Overview")
            await expect(console.page.get_by_role("button", name="Create a stage")).to_be_visible()
            await expect(console.page.get_by_role("button", name="Sign out")).to_have_count(0)

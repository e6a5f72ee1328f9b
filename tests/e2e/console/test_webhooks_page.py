"""Webhooks on the console: made with a secret, tested against a receiver, disabled, deleted."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from standardwebhooks.webhooks import Webhook

from tests.e2e.console.console_page import TIMEOUT_MS, ConsolePage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.console]


class Receiver(ThreadingHTTPServer):
    """Keeps the messages that it has received: the body and the header fields."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[tuple[bytes, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.messages.append((body, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


async def test_a_webhook_is_made_tested_and_deleted(console: ConsolePage, receiver: Receiver) -> None:
    page = console.page
    await console.open("#/webhooks")
    await page.get_by_role("button", name="Create a webhook").click()
    await page.get_by_label("Address").fill(f"http://127.0.0.1:{receiver.server_port}/hook")
    await page.get_by_label("Name").fill("billing")
    await page.get_by_role("checkbox", name="LEFT").check()
    await page.get_by_role("button", name="Create", exact=True).click()
    secret = await console.copied("Copy the secret")
    await console.confirm("Done")

    await page.get_by_role("link", name="billing").click()
    await console.heading("billing")
    await page.get_by_role("button", name="Send a test event").click()
    deliveries = page.get_by_role("table", name="Deliveries")
    await expect(deliveries.get_by_text("delivered")).to_be_visible(timeout=TIMEOUT_MS)
    [(body, headers)] = receiver.messages
    Webhook(secret).verify(body, headers)

    assert (await Axe().run(page)).response["violations"] == []
    await page.get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("button", name="Enable")).to_be_visible(timeout=TIMEOUT_MS)
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("There is no webhook")).to_be_visible(timeout=TIMEOUT_MS)

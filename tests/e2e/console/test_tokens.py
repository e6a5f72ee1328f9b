"""Tokens that the console creates: their contents, the copy, the QR code."""

import pytest
import zxingcpp

from tests.clients.stage_client import token_payload
from tests.e2e.console.console_page import ConsolePage
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODULES = """
    () => {
        const path = document.querySelector("svg.qr path").getAttribute("d");
        return [...path.matchAll(/M(\\d+) (\\d+)h/g)].map(([, x, y]) => [+x, +y]);
    }
"""
QUIET_ZONE = 4
SCALE = 4


async def test_a_token_has_what_the_form_says(console: ConsolePage, stage: StageHandle) -> None:
    await console.open(f"#/stages/{stage.stage_id}/tokens")
    await console.page.get_by_label("User id").fill("ann")
    await console.page.get_by_role("button", name="Add an attribute").click()
    await console.page.get_by_label("Name of attribute 1").fill("seat")
    await console.page.get_by_label("Value of attribute 1").fill("12")
    await console.page.get_by_label("Publish", exact=True).uncheck()
    await console.page.get_by_role("button", name="Create the token").click()
    token = await console.copied("Copy")
    claims = token_payload(token)
    assert (claims["user_id"], claims["attributes"]) == ("ann", {"seat": "12"})
    assert claims["capabilities"] == {"allow_subscribe": True}

    await console.page.get_by_role("button", name="QR code").click()
    dark = {(x, y) for x, y in await console.page.evaluate(MODULES)}
    assert read_qr_code(dark) == token
    assert token not in await console.page.evaluate(
        "[location.href, ...performance.getEntries().map((each) => each.name)].join()"
    )


def read_qr_code(dark: set[tuple[int, int]]) -> str:
    """Return the text of a QR code, as a reader finds it in a picture of four pixels for each module."""
    size = max(x for x, _ in dark) + 1 + 2 * QUIET_ZONE
    rows = (
        bytes(0 if (x - QUIET_ZONE, y - QUIET_ZONE) in dark else 255 for x in range(size) for _ in range(SCALE))
        for y in range(size)
    )
    picture = b"".join(row * SCALE for row in rows)
    [code] = zxingcpp.read_barcodes(memoryview(picture).cast("B", (size * SCALE, size * SCALE)))
    text: str = code.text
    return text

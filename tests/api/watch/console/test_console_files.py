"""The files of the console: paths, caching, and the header fields that protect the page."""

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from stagebook.api.watch.console.console_files import ConsoleFiles, content_security_policy, read_assets

ASSETS = Path("src/stagebook/api/watch/console/assets")
ROOT = Path(__file__).parents[4]


class Answer:
    """What the application sent."""

    def __init__(self, sent: list[MutableMapping[str, Any]]) -> None:
        start, body = sent
        self.status: int = start["status"]
        self.headers: dict[bytes, bytes] = dict(start["headers"])
        self.body: bytes = body["body"]


async def request(path: str, *, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the request must not be read")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    files = ConsoleFiles(public_url="https://stage.example:8443")
    await files({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return Answer(sent)


async def test_the_folder_is_the_page() -> None:
    answer = await request("/console/")
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    assert answer.body == (ROOT / ASSETS / "index.html").read_bytes()


async def test_without_the_slash_it_is_redirected() -> None:
    answer = await request("/console")
    assert (answer.status, answer.headers[b"location"]) == (308, b"/console/")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("app.js", b"text/javascript; charset=utf-8"),
        ("pages/overview.js", b"text/javascript; charset=utf-8"),
        ("console.css", b"text/css; charset=utf-8"),
        ("icon.svg", b"image/svg+xml"),
        ("vendor/LICENSES.txt", b"text/plain; charset=utf-8"),
    ],
)
async def test_each_kind_of_file_has_its_type(path: str, content_type: bytes) -> None:
    answer = await request(f"/console/{path}")
    assert (answer.status, answer.headers[b"content-type"]) == (200, content_type)
    assert answer.headers[b"x-content-type-options"] == b"nosniff"


def test_every_file_of_the_folder_is_served() -> None:
    files = (path for path in (ROOT / ASSETS).rglob("*") if path.is_file())
    assert {path.relative_to(ROOT / ASSETS).as_posix() for path in files} == set(read_assets())


async def test_the_open_client_is_the_one_of_the_repository() -> None:
    answer = await request("/console/stagebook-client.js")
    assert answer.body == (ROOT / "clients/js/stagebook-client.js").read_bytes()


@pytest.mark.parametrize(
    "path",
    ["../console_files.py", "pages/../app.js", "./app.js", "/app.js", "pages", "pages/", "app.js\x00", "__init__.py"],
)
async def test_no_path_leads_out_of_the_folder(path: str) -> None:
    assert (await request(f"/console/{path}")).status == 404


async def test_a_file_is_not_sent_again() -> None:
    first = await request("/console/app.js")
    assert first.headers[b"cache-control"] == b"no-cache"
    etag = first.headers[b"etag"]
    for known in (etag, b"W/" + etag, b'"other", ' + etag, b"*"):
        answer = await request("/console/app.js", headers=((b"if-none-match", known),))
        assert (answer.status, answer.body, answer.headers[b"etag"]) == (304, b"", etag)
        # Only the length of the file would be right (RFC 9110 section 8.6).
        assert b"content-length" not in answer.headers
    assert (await request("/console/app.js", headers=((b"if-none-match", b'"other"'),))).status == 200


async def test_head_has_no_body() -> None:
    answer = await request("/console/app.js", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers[b"content-length"]) == (ROOT / ASSETS / "app.js").stat().st_size


async def test_other_methods_are_refused() -> None:
    answer = await request("/console/app.js", method="POST")
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize("path", ["/console", "/console/", "/console/app.js", "/console/missing"])
async def test_every_response_has_the_protecting_header_fields(path: str) -> None:
    headers = (await request(path)).headers
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'; ")
    assert headers[b"cross-origin-opener-policy"] == b"same-origin"
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert headers[b"x-frame-options"] == b"DENY"


def test_the_policy_permits_this_server_only() -> None:
    policy = dict(part.split(" ", 1) for part in content_security_policy("https://stage.example:8443").split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self' https://stage.example:8443 wss://stage.example:8443",
        "media-src": "'self' blob: mediastream:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }


def own_modules() -> list[Path]:
    return [path for path in (ROOT / ASSETS).rglob("*.js") if path.parent.name != "vendor"]


def test_the_page_has_no_inline_script_and_no_other_host() -> None:
    page = (ROOT / ASSETS / "index.html").read_text()
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page) == []
    for path in [*own_modules(), ROOT / ASSETS / "index.html", ROOT / ASSETS / "console.css"]:
        found = re.findall(r"""["'(](?:https?:)?//[\w.-]+""", path.read_text())
        assert found == [], path


def test_no_module_makes_html_of_text() -> None:
    for path in own_modules():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", path.read_text()
        )

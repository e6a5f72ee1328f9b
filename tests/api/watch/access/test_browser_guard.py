"""The check of Host and Origin of requests without a secret of their own."""

import pytest

from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.watch.access.browser_guard import BrowserGuard

GUARD = BrowserGuard(public_url="https://stages.example.com", allowed_origins=["https://app.example.com"])


@pytest.mark.parametrize("host", [b"127.0.0.1:8080", b"localhost", b"stages.example.com", b"[::1]:8080", b""])
def test_own_names_and_addresses_are_accepted(host: bytes) -> None:
    GUARD.check_host({b"host": host})


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:8080", b"stages.example.com.evil.example"])
def test_a_name_that_an_attacker_can_own_is_refused(host: bytes) -> None:
    with pytest.raises(ApiRefusedError, match="must name this server"):
        GUARD.check_host({b"host": host})


OWN = {b"host": b"127.0.0.1:8080"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"sec-fetch-site": b"none"},
        {b"sec-fetch-site": b"same-origin"},
        {b"origin": b"http://127.0.0.1:8080"},
        {b"origin": b"https://127.0.0.1:8080"},
        {b"origin": b"https://app.example.com", b"sec-fetch-site": b"cross-site"},
        # A proxy has replaced the Host: the browser has compared the origins, or the page is of the public URL.
        {b"origin": b"https://proxy.example.com", b"sec-fetch-site": b"same-origin"},
        {b"origin": b"https://stages.example.com"},
    ],
)
def test_requests_of_own_and_allowed_pages_are_accepted(headers: dict[bytes, bytes]) -> None:
    GUARD.check_origin(OWN | headers)


FOREIGN = [
    {b"origin": b"http://evil.example"},
    {b"origin": b"http://127.0.0.1:9090", b"sec-fetch-site": b"same-site"},
    {b"origin": b"null"},
    {b"origin": b""},
    {b"sec-fetch-site": b"cross-site"},
    {b"sec-fetch-site": b"same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_requests_of_other_pages_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ApiRefusedError, match="not allowed to call"):
        GUARD.check_origin(OWN | headers)


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_page_may_not_change_anything(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ApiRefusedError):
        GUARD.check_change(OWN | headers | {b"x-stagebook-console": b"1"})


@pytest.mark.parametrize("headers", [{b"origin": b"http://127.0.0.1:8080"}, {b"sec-fetch-site": b"same-origin"}])
def test_a_change_needs_the_header_field_of_the_console_and_an_origin(headers: dict[bytes, bytes]) -> None:
    GUARD.check_change(OWN | headers | {b"x-stagebook-console": b"1"})
    with pytest.raises(ApiRefusedError, match="X-Stagebook-Console"):
        GUARD.check_change(OWN | headers)
    with pytest.raises(ApiRefusedError, match="Origin"):
        GUARD.check_change(OWN | {b"x-stagebook-console": b"1"})

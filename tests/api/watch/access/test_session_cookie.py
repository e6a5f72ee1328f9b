"""The cookie of a console session."""

import pytest

from stagebook.api.watch.access.session_cookie import SessionCookie


def test_with_https_the_cookie_is_bound_to_the_host() -> None:
    name, value = SessionCookie("https://stages.example.com").set_header("abc", lifetime_seconds=60.5)
    assert name == b"set-cookie"
    assert value == b"__Host-stagebook=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"


@pytest.mark.parametrize(
    ("url", "name"), [("http://127.0.0.1:8080", "stagebook_8080"), ("http://localhost", "stagebook_80")]
)
def test_with_http_the_name_has_the_port(url: str, name: str) -> None:
    _, value = SessionCookie(url).set_header("abc", lifetime_seconds=60)
    assert value.decode() == f"{name}=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"


def test_a_cleared_cookie_has_no_value_and_no_lifetime() -> None:
    _, value = SessionCookie("http://127.0.0.1:8080").clear_header()
    assert value.startswith(b"stagebook_8080=; Path=/; Max-Age=0;")


@pytest.mark.parametrize(
    ("header", "session_id"),
    [
        (b"stagebook_8080=abc", "abc"),
        (b"a=1; stagebook_8080=abc; b=2", "abc"),
        (b"", None),
        (b"stagebook_9090=abc", None),
        (b"stagebook_8080", None),
        (b"stagebook_8080=abc; stagebook_8080=def", None),
        (b"x" * 60_000, None),
        (b"\xff=\xff; stagebook_8080=\xff", "\xff"),
    ],
)
def test_the_session_id_is_read(header: bytes, session_id: str | None) -> None:
    assert SessionCookie("http://127.0.0.1:8080").read(header) == session_id

"""The stream key of addresses as people type them, and as clients split them."""

import pytest

from stagebook.media.rtmp.publish_address import split_address

KEY = "rt_123456789012_us-west-2_AbCdEfGh1234_secret"


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("app", KEY),
        ("app/", KEY),
        ("/app/", KEY),
        ("app", f"/{KEY}"),
        ("app/", f"//{KEY}"),
        ("app", f"{KEY}/"),
        ("app", f"{KEY}\n"),
        ("app", f"  {KEY}\r\n"),
        ("app", f"{KEY} \0"),
        ("app", f"\ufeff {KEY}\u200b\n"),
        ("app ", f"\t{KEY}"),
        ("app", f"{KEY}?token=1/2"),
        ("app?token=1", f"{KEY}?x"),
        ("app/?token=1/2", KEY),
        (f"app/{KEY}", ""),
        (f"app/{KEY}/", ""),
        (f"app//{KEY}\n", " "),
        (f"app/{KEY}?token=1", "/"),
        ("", f"app/{KEY}"),
        ("", f"/app/{KEY}/"),
    ],
)
def test_the_key_is_the_last_part_of_the_path(app: str, name: str) -> None:
    assert split_address(app, name) == ("app", KEY)


def test_an_application_may_have_an_instance() -> None:
    assert split_address("app/instance", KEY) == ("app/instance", KEY)
    assert split_address("app", f"instance/{KEY}") == ("app/instance", KEY)


@pytest.mark.parametrize(("app", "name"), [("", ""), ("/", "//"), (" ", "\n"), ("?app", "?x")])
def test_an_address_without_a_path_has_an_empty_key(app: str, name: str) -> None:
    assert split_address(app, name) == ("", "")


def test_characters_inside_a_key_are_kept() -> None:
    assert split_address("app", "a b\u200bc") == ("app", "a b\u200bc")

"""Parsing the User-Agent header for GetParticipant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.api.participants.client_info import client_info

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.5845.96 Safari/537.36"
WEBKIT = "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) {}"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (CHROME.format("Windows NT 10.0; Win64; x64"), ("Windows", "10.0", "Google Chrome", "116.0.5845.96")),
        (
            CHROME.format("Macintosh; Intel Mac OS X 10_15_7"),
            ("macOS", "10.15.7", "Google Chrome", "116.0.5845.96"),
        ),
        (CHROME.format("Linux; Android 13; Pixel 7"), ("Android", "13", "Google Chrome", "116.0.5845.96")),
        (
            CHROME.format("X11; Linux x86_64").replace("Chrome/", "HeadlessChrome/"),
            ("Linux", "", "Headless Chrome", "116.0.5845.96"),
        ),
        (
            CHROME.format("X11; CrOS x86_64 15329.59.0"),
            ("ChromeOS", "15329.59.0", "Google Chrome", "116.0.5845.96"),
        ),
        (
            CHROME.format("Windows NT 10.0; Win64; x64") + " Edg/116.0.1938.54",
            ("Windows", "10.0", "Microsoft Edge", "116.0.1938.54"),
        ),
        (
            WEBKIT.format("iPhone; CPU iPhone OS 17_1 like Mac OS X", "Version/17.1 Mobile/15E148 Safari/604.1"),
            ("iOS", "17.1", "Safari", "17.1"),
        ),
        (
            WEBKIT.format(
                "iPhone; CPU iPhone OS 17_1 like Mac OS X", "CriOS/119.0.6045.109 Mobile/15E148 Safari/604.1"
            ),
            ("iOS", "17.1", "Google Chrome", "119.0.6045.109"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            ("Linux", "", "Mozilla Firefox", "120.0"),
        ),
        ("Mozilla/5.0 (OBS-Studio/30.1.2; Windows x86_64; en-US)", ("Windows", "", "OBS Studio", "30.1.2")),
        ("python-requests/2.31.0", ("", "", "python-requests", "2.31.0")),
        ("Python/3.11 websockets/15.0", ("", "", "Python", "3.11")),
        ("GStreamer", ("", "", "GStreamer", "")),
        ("", ("", "", "", "")),
        (None, ("", "", "", "")),
    ],
)
def test_known_software_is_recognised(user_agent: str | None, expected: tuple[str, str, str, str]) -> None:
    info = client_info(user_agent)
    assert (info.os_name, info.os_version, info.browser_name, info.browser_version) == expected


@given(st.text(max_size=2_000), st.text(max_size=2_000))
def test_any_header_gives_values_that_fit_the_api_shape(user_agent: str, sdk_version: str) -> None:
    info = client_info(user_agent, sdk_version=sdk_version)
    for value in (info.os_name, info.os_version, info.browser_name, info.browser_version, info.sdk_version):
        assert re.fullmatch(r"[a-zA-Z0-9\-_.,:;\s]{0,128}", value)


def test_a_long_product_token_is_cut() -> None:
    info = client_info("x" * 500 + "/" + "9" * 500)
    assert (len(info.browser_name), len(info.browser_version)) == (128, 128)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("1.41.0", "1.41.0"), ("1.42.0-rc.1", "1.42.0-rc.1"), (" <b>\x00é ", "b"), ("9" * 500, "9" * 128), (None, "")],
)
def test_the_version_of_the_sdk_is_cleaned_and_cut(sent: str | None, shown: str) -> None:
    assert client_info("Mozilla/5.0", sdk_version=sent).sdk_version == shown

"""What a participant's software says of itself: the User-Agent header (RFC 9110 section 10.1.5) as ClientInfo.

A table of the products that people join with, read in order; anything else is shown by its first product token.
"""

import re

from stagebook.stage.resources import ClientInfo

FIELD_LENGTH = 128
USER_AGENT_LENGTH = 1_024
"""Longer headers are cut before they are read: nobody's software needs more."""

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9\-_.,:; ]+")

_SYSTEMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Windows", re.compile(r"Windows NT ([0-9.]+)")),
    ("Windows", re.compile(r"Windows()\b")),
    ("iOS", re.compile(r"(?:iPhone|iPad|iPod).*? OS ([0-9_.]+)")),
    ("Android", re.compile(r"Android ?([0-9.]*)")),
    ("macOS", re.compile(r"(?:Mac OS X|macOS) ?([0-9_.]*)")),
    ("ChromeOS", re.compile(r"CrOS \S+ ([0-9.]+)")),
    ("Linux", re.compile(r"Linux()\b")),
)
"""The system's name and where its version stands. iOS before macOS: an iPhone says "like Mac OS X"."""

_BROWSERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("OBS Studio", re.compile(r"OBS-Studio/([0-9.]+)")),
    ("Microsoft Edge", re.compile(r"Edg(?:e|A|iOS)?/([0-9.]+)")),
    ("Opera", re.compile(r"OPR/([0-9.]+)")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/([0-9.]+)")),
    ("Mozilla Firefox", re.compile(r"(?:Firefox|FxiOS)/([0-9.]+)")),
    ("Headless Chrome", re.compile(r"HeadlessChrome/([0-9.]+)")),
    ("Google Chrome", re.compile(r"(?:Chrome|CriOS)/([0-9.]+)")),
    ("Safari", re.compile(r"Version/([0-9.]+).*Safari/")),
)
"""The browser's name and where its version stands. Browsers that imitate Chrome come before it."""

_PRODUCT = re.compile(r"([^\s/()]+)(?:/([^\s()]+))?")


def client_info(user_agent: str | None) -> ClientInfo:
    """Return what a User-Agent header tells; unknown parts are empty. Never fails, whatever the header holds."""
    text = (user_agent or "")[:USER_AGENT_LENGTH]
    os_name, os_version = _first(_SYSTEMS, text)
    browser_name, browser_version = _first(_BROWSERS, text)
    if not browser_name and (product := _PRODUCT.match(text)):
        browser_name, browser_version = product[1], product[2] or ""
    return ClientInfo(
        os_name=os_name,
        os_version=_clean(os_version.replace("_", ".")),
        browser_name=_clean(browser_name),
        browser_version=_clean(browser_version),
    )


def _first(table: tuple[tuple[str, re.Pattern[str]], ...], text: str) -> tuple[str, str]:
    for name, pattern in table:
        if match := pattern.search(text):
            return name, match[1]
    return "", ""


def _clean(value: str) -> str:
    """Return the value in the characters and the length that GetParticipant can show."""
    return _NOT_ALLOWED.sub("", value)[:FIELD_LENGTH].strip()

"""The client software of a participant, from header fields of its requests.

The operating system and the browser are parsed from User-Agent (RFC 9110 section 10.1.5). The version of Amazon's Web
Broadcast SDK is the value of X-Stages-SDK, which is in each of its HTTP requests but not in the handshake of the events
websocket. Its X-Stages-Platform is `web` in all versions (observed from 1.6 to 1.41), so it adds nothing.

A User-Agent is free text, so it is matched against two ordered tables of regular expressions: operating systems, and
browsers or encoders. The first match wins. For software that is in neither table, the first product token is shown.
"""

import re

from stagebook.stage.resources import ClientInfo

MAX_FIELD_LENGTH = 128
MAX_HEADER_LENGTH = 1_024
"""A longer header is cut before it is matched, which bounds the time of the regular expressions."""

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9\-_.,:; ]+")

_SYSTEMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Windows", re.compile(r"Windows NT ([0-9.]+)")),
    ("Windows", re.compile(r"Windows()\b")),  # the empty group is an unknown version
    ("iOS", re.compile(r"(?:iPhone|iPad|iPod).*? OS ([0-9_.]+)")),
    ("Android", re.compile(r"Android ?([0-9.]*)")),
    ("macOS", re.compile(r"(?:Mac OS X|macOS) ?([0-9_.]*)")),
    ("ChromeOS", re.compile(r"CrOS \S+ ([0-9.]+)")),
    ("Linux", re.compile(r"Linux()\b")),
)
"""(name of the system, pattern with its version as group 1). iOS comes before macOS, because an iPhone's header has
"like Mac OS X"; Android comes before Linux, because its header has both."""

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
"""(name of the browser, pattern with its version as group 1). Browsers based on Chromium come before Chrome, because
their headers have its product token as well."""

_PRODUCT = re.compile(r"([^\s/()]+)(?:/([^\s()]+))?")


def client_info(user_agent: str | None, *, sdk_version: str | None = None) -> ClientInfo:
    """Return the operating system and browser that a User-Agent header names, with versions, and the SDK's version.

    What cannot be determined is an empty string. Any value is accepted, and each field of the result is in the
    characters and the length of the API reference's shape Participant.
    """
    text = (user_agent or "")[:MAX_HEADER_LENGTH]
    os_name, os_version = _first_match(_SYSTEMS, text)
    browser_name, browser_version = _first_match(_BROWSERS, text)
    if not browser_name and (product := _PRODUCT.match(text)):
        browser_name, browser_version = product[1], product[2] or ""
    return ClientInfo(
        os_name=os_name,
        os_version=_clean(os_version.replace("_", ".")),
        browser_name=_clean(browser_name),
        browser_version=_clean(browser_version),
        sdk_version=_clean((sdk_version or "")[:MAX_HEADER_LENGTH]),
    )


def _first_match(table: tuple[tuple[str, re.Pattern[str]], ...], text: str) -> tuple[str, str]:
    """Return the name and the version of the first entry that matches; two empty strings when none does."""
    for name, pattern in table:
        if match := pattern.search(text):
            return name, match[1]
    return "", ""


def _clean(value: str) -> str:
    """Return the value in the characters and the length that GetParticipant allows."""
    return _NOT_ALLOWED.sub("", value)[:MAX_FIELD_LENGTH].strip()

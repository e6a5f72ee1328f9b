"""The stream key in the address that a user has typed into an encoder.

An RTMP URL is `rtmp://host/app/key`. The client splits its path into the application name of `connect` and the
publishing name of `publish` (section 7.2), and clients disagree about where:

    typed in                        app          publishing name
    rtmp://host/app and KEY         app          KEY              most encoders
    rtmp://host/app/ and KEY        app/         KEY              OBS
    rtmp://host/app//KEY            app          /KEY             librtmp
    rtmp://host/app/KEY/            app          KEY/
    rtmp://host/app/KEY, no key     app/KEY      (empty)          OBS with everything in the server field
    rtmp://host and app/KEY         (empty)      app/KEY

Stream keys contain no slash, so the key is the last part of the path that is not empty, wherever the client has split
it. Query strings (`?` and what follows) are removed, and so are white space and invisible characters around a part,
which come along when a key is copied from a web page or a terminal.
"""

from typing import Final

_INVISIBLE: Final = "\0\u200b\u200c\u200d\u2060\ufeff"
"""NUL, zero width space, non-joiner, joiner, word joiner, and byte order mark: `str.strip` keeps them."""


def split_address(app: str, name: str) -> tuple[str, str]:
    """Return (application name, stream key) of what a client sent with `connect` and `publish`.

    The application name has no leading, trailing or repeated slashes. Without any part, the stream key is empty.
    """
    path = [*_parts(app), *_parts(name)]
    return "/".join(path[:-1]), path[-1] if path else ""


def _parts(text: str) -> list[str]:
    parts = (_stripped(part) for part in text.partition("?")[0].split("/"))
    return [part for part in parts if part]


def _stripped(part: str) -> str:
    """Remove white space and invisible characters at both ends, in any order."""
    while (shorter := part.strip().strip(_INVISIBLE)) != part:
        part = shorter
    return part

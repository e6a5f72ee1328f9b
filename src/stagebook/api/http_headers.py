"""The header fields of a request by name."""

from collections.abc import Sequence

from stagebook.api.asgi import Header


def read_headers(lines: Sequence[Header]) -> dict[bytes, bytes]:
    """Return the header fields of a request by name. The values of a repeated name are joined by commas."""
    headers = dict(lines)
    # Nearly no request repeats a name, so the loop below is rarely needed.
    if len(headers) != len(lines):
        joined: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            joined.setdefault(name, []).append(value.strip())
        headers = {name: b",".join(values) for name, values in joined.items()}
    return headers

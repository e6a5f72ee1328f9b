"""The canonical request of AWS Signature Version 4: the string whose hash is signed.

Its lines are the method, the path, the query, `name:value` of each signed header field, an empty line, the names of the
signed header fields, and the SHA-256 of the body. Client and server must derive the same bytes, so each part has one
canonical spelling.
Source: "Create a signed AWS API request" in the IAM user guide, with the double encoding of the path that every
service but S3 uses.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes


@lru_cache(maxsize=64)
def canonical_path(raw_path: bytes) -> bytes:
    """Return the canonical path: without dot segments and empty segments, and percent-encoded a second time."""
    if b"//" in raw_path or b"/." in raw_path:
        raw_path = _resolved(raw_path)
    return quote(raw_path, safe="/~").encode() or b"/"


def canonical_query(query: bytes) -> bytes:
    """Return the canonical query: parameters sorted, names and values percent-encoded. A plus sign becomes `%2B`."""
    if not query:
        return b""
    pairs = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        pairs.append((_encoded(name), _encoded(value)))
    return b"&".join(name + b"=" + value for name, value in sorted(pairs))


def canonical_value(value: bytes) -> bytes:
    """Return the canonical value of a header field: trimmed, and with each run of whitespace as one space."""
    return b" ".join(value.split())


def canonical_request(
    *,
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Mapping[bytes, bytes],
    signed_headers: Sequence[bytes],
    payload_hash: bytes,
) -> bytes:
    """Return the canonical request. `headers` has lower-case names; raises KeyError(name) for a signed one it lacks."""
    lines = [method.encode(), canonical_path(raw_path), canonical_query(query)]
    lines += [name + b":" + canonical_value(headers[name]) for name in signed_headers]
    lines += [b"", b";".join(signed_headers), payload_hash]
    return b"\n".join(lines)


def _encoded(value: bytes) -> bytes:
    return quote(unquote_to_bytes(value), safe="-_.~").encode()


def _resolved(path: bytes) -> bytes:
    # RFC 3986 section 5.2.4; adjacent slashes are merged as well.
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    closing = b"/" if path.endswith(b"/") and segments else b""
    return b"/" + b"/".join(segments) + closing

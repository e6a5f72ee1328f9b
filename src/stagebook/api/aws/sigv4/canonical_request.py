"""The canonical request of AWS Signature Version 4: what of an HTTP request is signed, and in which spelling.

Pure functions over bytes; knows no key and no clock.
Source: "Create a signed AWS API request" in the IAM user guide, with the double encoding of the path that every
service but S3 uses.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes


@lru_cache(maxsize=64)
def canonical_path(raw_path: bytes) -> bytes:
    """Return the path as signed: dot segments and empty segments resolved, then percent-encoded once more."""
    if b"//" in raw_path or b"/." in raw_path:
        raw_path = _resolved(raw_path)
    return quote(raw_path, safe="/~").encode() or b"/"


def canonical_query(query: bytes) -> bytes:
    """Return the query as signed: names and values percent-encoded one way, sorted. A plus sign is a plus sign."""
    if not query:
        return b""
    pairs = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        pairs.append((_encoded(name), _encoded(value)))
    return b"&".join(name + b"=" + value for name, value in sorted(pairs))


def canonical_value(value: bytes) -> bytes:
    """Return a header's value as signed: without blanks around it, runs of blanks within it as one."""
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


def _encoded(text: bytes) -> bytes:
    return quote(unquote_to_bytes(text), safe="-_.~").encode()


def _resolved(path: bytes) -> bytes:
    # RFC 3986 section 5.2.4, and adjacent slashes count as one.
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    closing = b"/" if path.endswith(b"/") and segments else b""
    return b"/" + b"/".join(segments) + closing

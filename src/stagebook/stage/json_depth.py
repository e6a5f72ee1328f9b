"""A limit on the nesting of JSON documents that come from outside.

JSON decoders are recursive, also for members that they skip. Python's own and msgspec's stop at the interpreter's
recursion limit with a RecursionError. How deep that is depends on the caller's stack, and the error is none of those
that mean a malformed document. So nesting is checked before a document is decoded. RFC 8259 section 9 allows a limit.
"""

import re

MAX_JSON_DEPTH = 32
"""Arrays and objects inside one another. No document of the APIs has more than 6 levels."""

# A string, whose end may be missing, or a bracket. Nothing in the pattern can fail after it has begun to match, so a
# search takes time in proportion to the document.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def is_too_deep(document: bytes | str) -> bool:
    """Return whether a JSON document is nested deeper than MAX_JSON_DEPTH.

    The answer for a malformed document says only whether it can be decoded without exhausting the stack. A string may
    have lone surrogates.
    """
    if isinstance(document, str):
        document = document.encode("utf-8", errors="surrogatepass")
    # Brackets in strings count here, so this is a bound, and it is enough for almost all documents.
    if document.count(b"[") + document.count(b"{") <= MAX_JSON_DEPTH:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(document):
        first = document[match.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False

"""How a test causes an event: the lines of Python in the notes, and the same as requests of the testing API.

The Python lines call methods of participants and encoders of `stagebook.testing`. Each method has an action of the same
name in the testing API (docs/testing.md), so the requests follow from the lines.
"""

import ast
import json
from collections.abc import Iterator
from typing import Any

from contrib.site.page_text import tab

COLLECTIONS = {"participant": "participants", "viewer": "participants", "encoder": "encoders"}
"""By name in the lines: the collection of the testing API that it is in."""

_PARAMETERS = {
    "subscribe": ("to",),
    "unsubscribe": ("to",),
    "fail_join": ("errorCode",),
    "fail_publish": ("errorCode",),
    "fail_subscribe": ("errorCode", "to"),
}
"""By method: the members of the request that its positional arguments are."""


def tabs(lines: str) -> str:
    """Return the lines in Python and as requests, as tabs. Calls of the AWS API have no request here."""
    requests = list(http_lines(lines))
    parts = [tab("Python", "python", lines)]
    if requests:
        parts.append(tab("HTTP", "text", "\n".join(requests)))
    return "\n\n".join(parts)


def http_lines(lines: str) -> Iterator[str]:
    """Yield `POST path body` for each call of a participant or encoder.

    `{participant}`, `{viewer}` and `{encoder}` are the ids of their descriptions, `{participantId}` is the participant
    id of `participant`.
    """
    for statement in ast.parse(lines).body:
        match statement:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name(name), method), arguments, keywords)) if name in COLLECTIONS:
                body = dict(zip(_PARAMETERS.get(method, ()), map(_value, arguments), strict=False))
                body |= {str(keyword.arg): _value(keyword.value) for keyword in keywords}
                path = f"/testing/v1/{COLLECTIONS[name]}/{{{name}}}/{method.replace('_', '-')}"
                yield f"POST {path} {json.dumps(body)}" if body else f"POST {path}"


def _value(argument: ast.expr) -> Any:  # noqa: ANN401 - JSON
    return "{participantId}" if isinstance(argument, ast.Name) else ast.literal_eval(argument)

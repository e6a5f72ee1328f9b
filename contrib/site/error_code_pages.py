"""The pages of the error codes of participant events, and their index."""

from collections.abc import Iterator, Mapping

from contrib.site.page_text import bullets, document, from_docs, link, page_of, section, state_of, table
from contrib.site.reference_notes import ErrorCodeNote, error_code_notes
from contrib.site.testing_lines import tabs
from stagebook.api.participants.problem_responses import ATTEMPT_STATUSES
from stagebook.stage.events import ErrorCode
from tests.e2e.ingest.error_causes import ERROR_CAUSES

INDEX = "error-codes/index.md"

INTRODUCTION = """\
# Error codes

The `errorCode` of PUBLISH_ERROR, SUBSCRIBE_ERROR and JOIN_ERROR: why an attempt was refused, or why the server ended
what ran. The errors of the AWS API are on the pages of its [operations](../operations/index.md)."""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the Markdown of each page, the index first."""
    notes = error_code_notes()
    yield INDEX, _index(notes)
    for code, note in notes.items():
        yield page_of("error code", code), _page(code, note)


def _index(notes: Mapping[str, ErrorCodeNote]) -> str:
    lines = [
        (
            f"[{code}]({page_of('error code', code).removeprefix('error-codes/')})",
            note.meaning,
            "yes" if note.whip else "",
            "yes" if note.rtmp else "",
        )
        for code, note in notes.items()
    ]
    return document(INTRODUCTION, table(["Code", "Meaning", "WebRTC", "RTMP"], lines))


def _page(code: str, note: ErrorCodeNote) -> str:
    return document(
        f"# {code}",
        note.meaning,
        section("When", _when(code, note)),
        section("What the client sees", _client(code, note)),
        section("What to do about it", note.action),
        section("Events", bullets(link("event", name) for name in note.events)),
        section("With a real encoder", _encoder(code)),
        section("In a test", tabs(note.test), TEST_TEXT),
    )


TEST_TEXT = """\
The [testing tools](../testing.md) make `participant` and `viewer` with `stagebook.participant(stage_arn)`, and
`encoder` with `stagebook.encoder(stage_arn=stage_arn)`; they have no media. In the requests, `{participant}` and so on
stand for their ids. The event is the same as that of a real client."""


def _when(code: str, note: ErrorCodeNote) -> str:
    lines = [
        ("any", from_docs(state_of(code)[1])),
        ("WebRTC (WHIP, subscribing)", note.whip or "It does not occur."),
        ("RTMP, RTMPS", note.rtmp or "It does not occur."),
    ]
    return table(["Client", "Rule"], lines)


def _client(code: str, note: ErrorCodeNote) -> str:
    status = ATTEMPT_STATUSES.get(ErrorCode(code))
    lines = []
    if status is not None and note.whip:
        lines.append(
            f'WebRTC: the offer is answered with {status} and the body `{{"code": "{code}", "message": ...}}` '
            "([statuses](../participants.md#publishing-and-watching))."
        )
    if note.whip and (note.running or status is None):
        lines.append("WebRTC, while media runs: the server closes the connection.")
    if note.rtmp:
        lines.append(f"RTMP: the server sends `{code}: ...` and closes the connection ([encoders](../rtmp.md#errors)).")
    return bullets(lines)


def _encoder(code: str) -> str:
    """Return the commands of docs/rtmp.md that cause the code; each runs in a test."""
    commands = [cause for cause in ERROR_CAUSES if cause.code == code]
    lines = [(cause.when, f"`{cause.command}`") for cause in commands]
    text = "[Encoders](../rtmp.md) sets the variables."
    return "\n\n".join([table(["When", "Command"], lines), text]) if lines else ""

"""The pages of the participant events, and their index."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from contrib.site.documented_rows import rows
from contrib.site.page_text import bullets, document, from_docs, link, page_of, section, state_of, table
from contrib.site.reference_notes import EventNote, error_code_notes, event_notes, recorded_responses
from contrib.site.service_facts import MODEL, members
from contrib.site.testing_lines import tabs

INDEX = "events/index.md"

INTRODUCTION = """\
# Events

What a participant did, as [ListParticipantEvents](../operations/list-participant-events.md) returns it. Every event
is on disk before anybody is told of it, and has a fixed place in one order.

![JOINED, any number of publications and subscriptions, LEFT](../images/participant-life.svg)

Inside of one action, JOINED comes first and LEFT last; every *_STOPPED comes before LEFT. The book also keeps the
cause of each event, which [the watch API](../watch.md) and the webhooks show. [The way of an
event](../architecture.md#the-shell-decide-commit-carry-out) says how it gets into the book.

The [console](../watch.md#console) draws the events of a session as lanes:

![A session in the console: a lane for each participant](../images/console-timeline.png)"""

_TOKEN = {"capabilities": ["PUBLISH", "SUBSCRIBE"], "attributes": {"role": "host"}, "userId": "ann"}

_SAMPLE_VALUES: Mapping[str, Any] = {
    "remoteParticipantId": "lihsLGjG2b8L",
    "destinationStageArn": recorded_responses().values["other"],
    "destinationSessionId": "st-a1b2c3d4e5f6g",
    "previousToken": {**_TOKEN, "expirationTime": "2026-11-28T18:47:42.000Z"},
    "newToken": {**_TOKEN, "capabilities": ["SUBSCRIBE"], "expirationTime": "2026-11-28T18:47:42.000Z"},
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the Markdown of each page, the index first."""
    notes = event_notes()
    yield INDEX, _index(notes)
    for name, note in notes.items():
        yield page_of("event", name), _page(name, note)


def _index(notes: Mapping[str, EventNote]) -> str:
    lines = [(f"[{name}]({page_of('event', name).removeprefix('events/')})", state_of(name)[1]) for name in notes]
    return document(INTRODUCTION, table(["Event", "When"], lines), section("Members", _all_members()))


def _all_members() -> str:
    """Return a table of the members of all events: those of the shape in the model, and the events that have them."""
    event = MODEL.operations["ListParticipantEvents"].output.members[0].shape.item
    assert event is not None  # noqa: S101 - events are a list in the model
    notes = event_notes()
    lines = []
    for member in members(event):
        having = [name for name, note in notes.items() if member.path in (*note.members, *note.optional)]
        if "." not in member.path:
            lines.append((f"`{member.path}`", member.kind, ", ".join(link("event", name) for name in having) or "all"))
    return table(["Member", "Type", "Events"], lines)


def _page(name: str, note: EventNote) -> str:
    return document(
        f"# {name}",
        f"{_sentence(state_of(name)[1])}.",
        section("In the book", f"```json\n{json.dumps(sample(name, note), indent=4)}\n```", _members(note)),
        section("Notes", bullets(note.notes)),
        section("Error codes", _codes(note)),
        section("Causes", _causes(note)),
        section("In a test", tabs(note.test), TEST_TEXT),
    )


TEST_TEXT = """\
The [testing tools](../testing.md) make `participant` and `viewer` with `stagebook.participant(stage_arn)`; they have no
media. `ivs` is a boto3 client. In the requests, `{participant}` and `{viewer}` stand for their ids. The event is the
same as that of a real client, in the book, in the webhooks and on the events websocket."""


def sample(name: str, note: EventNote) -> dict[str, Any]:
    """Return an event as the API returns it, with the members that it always has."""
    codes = {"errorCode": note.codes[0]} if note.codes else {}
    values = {**_SAMPLE_VALUES, **codes}
    event = {
        "name": name,
        "participantId": recorded_responses().values["participant"],
        "eventTime": "2026-11-28T06:47:47.745Z",
    }
    return {**event, **{member: values[member] for member in note.members}}


def _members(note: EventNote) -> str:
    return f"In some cases also: {', '.join(f'`{member}`' for member in note.optional)}." if note.optional else ""


def _codes(note: EventNote) -> str:
    known = error_code_notes()
    return (
        table(["Error code", "Meaning"], [(link("error code", code), known[code].meaning) for code in note.codes])
        if note.codes
        else ""
    )


def _causes(note: EventNote) -> str:
    known = rows("compatibility.md")
    lines = [(f"`{cause}`", from_docs(known[f"`{cause}`"][0])) for cause in note.causes]
    return "\n\n".join(
        [
            "Why it happens. AWS's API has no member for it; [the watch API](../watch.md) shows it.",
            table(["Cause", "Meaning"], lines),
        ]
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

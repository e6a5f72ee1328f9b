"""The pages of the operations of the AWS API, and their index."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from contrib.site.documented_rows import rows
from contrib.site.example_calls import boto3_text, cli_text, javascript_text
from contrib.site.page_text import bullets, document, from_docs, page_of, section, state_of, tab, table
from contrib.site.reference_notes import (
    Example,
    OperationNote,
    examples,
    exception_texts,
    operation_notes,
    recorded_responses,
)
from contrib.site.service_facts import MODEL, errors, members
from stagebook.api.aws.rest_json.service_model import Shape

INDEX = "operations/index.md"

INTRODUCTION = """\
# Operations

The operations of the AWS API (`ivs-realtime`, API version 2020-07-14), called with any AWS SDK or the AWS CLI whose
endpoint URL is that of the server. Each page is made from the service model in botocore, with which the server
validates all input.

Beside its own errors, an operation can be refused with an error of the signature (`InvalidSignatureException`,
`IncompleteSignatureException`, `UnrecognizedClientException`), with `SerializationException` for a body that is not
JSON, and with `ThrottlingException` above the rate of calls;
[compatibility](../compatibility.md#http-and-signatures-of-the-aws-api) has all rules that hold for every
operation."""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the Markdown of each page, the index first."""
    notes = operation_notes()
    shown = {example.operation: example for example in examples()}
    yield INDEX, _index(notes)
    for name, note in notes.items():
        yield page_of("operation", name), _page(name, note, shown[name])


def groups() -> Mapping[str, list[str]]:
    """Return the names of the operations by their group, in the order of the notes."""
    found: dict[str, list[str]] = {}
    for name, note in operation_notes().items():
        found.setdefault(note.group, []).append(name)
    return found


def _index(notes: Mapping[str, OperationNote]) -> str:
    parts = [INTRODUCTION]
    for group, names in groups().items():
        lines = [
            (
                f"[{name}]({page_of('operation', name).removeprefix('operations/')})",
                state_of(name)[0],
                notes[name].summary,
            )
            for name in names
        ]
        parts.append(section(group, table(["Operation", "State", "What it does"], lines)))
    return document(*parts)


def _page(name: str, note: OperationNote, example: Example) -> str:
    model = MODEL.operations[name]
    return document(
        f"# {name}",
        note.summary,
        _warning(name),
        f"`{model.method} {model.uri}`, with the policy action `ivs:{name}`.",
        section("Example", _example(example)),
        section("Request", _member_table(model.input, "Required") or "No members."),
        section("Response", _member_table(model.output, "Always there") or "An empty body."),
        section("Errors", _errors(name)),
        section("In Stagebook", _own_notes(name, note)),
        section("Where AWS's documentation is silent", _choices(note)),
        section("Quotas", _quotas(note)),
    )


def _warning(name: str) -> str:
    state, rest = state_of(name)
    return "" if state == "done" else f'!!! warning "Not yet"\n\n    This operation does not work yet: {rest}.'


def _member_table(shape: Shape, required: str) -> str:
    """Return the members of a structure, each followed by its own ones, which are indented."""
    lines = [
        (
            f"{'&emsp;' * member.path.count('.')}`{member.path.rpartition('.')[2]}`",
            member.kind,
            "yes" if member.required else "",
            member.limits,
        )
        for member in members(shape)
    ]
    return table(["Member", "Type", required, "Limits"], lines) if lines else ""


def _example(example: Example) -> str:
    recorded = recorded_responses()
    tabs = [
        tab("AWS CLI", "sh", cli_text(example, recorded.values)),
        tab("boto3", "python", boto3_text(example, recorded.values)),
        tab("JavaScript", "js", javascript_text(example, recorded.values)),
    ]
    text = (
        "`stagebook env` prints the variables that the examples read: the endpoint URL, the access key and the region."
    )
    return "\n\n".join([text, *tabs, _response(recorded.responses[example.operation])])


def _response(response: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(response, str):
        return f"The call is refused with `{response}`."
    if not response:
        return "The response has an empty body."
    return f"The response:\n\n```json\n{json.dumps(response, indent=4)}\n```"


def _errors(name: str) -> str:
    texts = exception_texts()
    lines = [(f"`{error.name}`", str(error.status), texts[error.name]) for error in errors(name)]
    return table(["Error", "Status", "When"], lines)


def _own_notes(name: str, note: OperationNote) -> str:
    state, rest = state_of(name)
    compatibility = [f"{rest[:1].upper()}{rest[1:]}."] if state == "done" and rest else []
    return bullets([*compatibility, *note.notes])


def _choices(note: OperationNote) -> str:
    known = rows("compatibility.md")
    lines = [(question, from_docs(known[question][0]), known[question][1]) for question in note.choices]
    return table(["Question", "Choice", "Setting"], lines) if lines else ""


def _quotas(note: OperationNote) -> str:
    known = rows("operating.md")
    lines = [(f"`{name}`", *known[f"`{name}`"]) for name in (*note.quotas, note.rate)]
    text = "[Operating](../operating.md#quotas) says how to select an edition and change a quota."
    return "\n\n".join([table(["Quota", "AWS's (`strict`)", "`relaxed`", "Of"], lines), text])

"""The text of a call in three languages."""

from typing import Any

import pytest

from contrib.site.example_calls import boto3_text, cli_text, filled, javascript_text
from contrib.site.reference_notes import Example


def example(operation: str, **members: Any) -> Example:  # noqa: ANN401 - JSON
    return Example(operation=operation, input=members)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (example("ListStages"), "aws ivs-realtime list-stages"),
        (example("ListStages", maxResults=5), "aws ivs-realtime list-stages --max-results 5"),
        (example("GetStage", arn="{stage}"), "aws ivs-realtime get-stage --arn a:b"),
        (example("X", reason="it's over"), """aws ivs-realtime x --reason 'it'"'"'s over'"""),
        (example("X", force=True, insecureIngest=False), "aws ivs-realtime x --force --no-insecure-ingest"),
        (example("X", tags={"a": "b", "c": "d"}), "aws ivs-realtime x --tags a=b,c=d"),
        (example("X", tagKeys=["a", "b c"]), "aws ivs-realtime x --tag-keys a 'b c'"),
        (
            example("X", tokens=[{"userId": "ann"}, {"userId": "bob"}]),
            "aws ivs-realtime x --tokens userId=ann userId=bob",
        ),
        (example("X", tags={"a": "b c"}), """aws ivs-realtime x --tags '{"a": "b c"}'"""),
        (example("X", key={"file": "a.pem"}), "aws ivs-realtime x --key file://a.pem"),
        (example("X", a="b" * 50, c="d" * 50), f"aws ivs-realtime x \\\n    --a {'b' * 50} \\\n    --c {'d' * 50}"),
    ],
)
def test_the_command(call: Example, text: str) -> None:
    assert cli_text(call, {"stage": "a:b"}) == text


@pytest.mark.parametrize(
    ("members", "arguments"),
    [
        ({}, ""),
        ({"a": "{stage}", "b": True, "c": 5}, 'a="a:b", b=True, c=5'),
        ({"a": {"b": ["c"]}}, 'a={"b": ["c"]}'),
        ({"a": "b" * 50, "c": "d" * 50}, f'\n    a="{"b" * 50}",\n    c="{"d" * 50}",\n'),
    ],
)
def test_the_call_of_boto3(members: dict[str, Any], arguments: str) -> None:
    text = boto3_text(example("GetStage", **members), {"stage": "a:b"})
    assert text.splitlines()[:3] == ["import boto3", "", 'ivs = boto3.client("ivs-realtime")']
    assert f"response = ivs.get_stage({arguments})\nprint(response)" in text


@pytest.mark.parametrize(
    ("members", "arguments"),
    [
        ({}, "{}"),
        ({"a": "{stage}", "b": True, "c": 5}, '{ a: "a:b", b: true, c: 5 }'),
        ({"a": {"b": ["c"], "d-e": "f"}}, '{ a: { b: ["c"], "d-e": "f" } }'),
        ({"a": "b" * 50, "c": "d" * 50}, f'{{\n  a: "{"b" * 50}",\n  c: "{"d" * 50}",\n}}'),
    ],
)
def test_the_command_of_javascript(members: dict[str, Any], arguments: str) -> None:
    text = javascript_text(example("GetStage", **members), {"stage": "a:b"})
    assert text.startswith('import { GetStageCommand, IVSRealTimeClient } from "@aws-sdk/client-ivs-realtime";\n')
    assert f"await ivs.send(new GetStageCommand({arguments}));" in text


def test_the_content_of_a_file_is_read() -> None:
    call = example("X", key={"file": "a.pem"})
    assert 'key=Path("a.pem").read_text()' in boto3_text(call, {})
    assert "from pathlib import Path" in boto3_text(call, {})
    assert 'key: readFileSync("a.pem", "utf8")' in javascript_text(call, {})
    assert 'import { readFileSync } from "node:fs";' in javascript_text(call, {})


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="stage"):
        filled({"a": ["{stage}"]}, {})

"""One call of an operation in three languages: the AWS CLI, boto3, and the AWS SDK for JavaScript.

An input is a JSON object, in which `{name}` stands for a value of an earlier response, and `{"file": path}` for the
content of a file. The site shows the text with sample values; the tests run the same text with real ones.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from botocore import xform_name

from contrib.site.reference_notes import Example

WIDTH = 100
"""The characters of a line, above which a call is written on several lines."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_PLAIN = re.compile(r"[\w.-]+")


def filled(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Return an input with its placeholders replaced. Raises KeyError for one without a value."""
    match value:
        case str():
            return _PLACEHOLDER.sub(lambda match: values[match.group(1)], value)
        case list():
            return [filled(item, values) for item in value]
        case dict():
            return {key: filled(item, values) for key, item in value.items()}
        case _:
            return value


def _file(value: Any) -> str | None:  # noqa: ANN401 - JSON
    """Return the path if a value is the content of a file."""
    return value["file"] if isinstance(value, dict) and value.keys() == {"file"} else None


# The AWS CLI.


def cli_text(example: Example, values: Mapping[str, str]) -> str:
    """Return the command."""
    words = [f"aws ivs-realtime {xform_name(example.operation, '-')}"]
    words += [_option(name, value) for name, value in filled(example.input, values).items()]
    line = " ".join(words)
    return line if len(line) <= WIDTH else " \\\n    ".join(words)


def _option(name: str, value: Any) -> str:  # noqa: ANN401 - JSON
    option = f"--{xform_name(name, '-')}"
    if isinstance(value, bool):
        return option if value else option.replace("--", "--no-", 1)
    path = _file(value)
    return f"{option} file://{path}" if path else f"{option} {_cli_value(value)}"


def _cli_value(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value in the CLI's shorthand if it is flat, otherwise as JSON."""
    match value:
        case list() if all(isinstance(item, str) for item in value):
            return " ".join(shlex.quote(item) for item in value)
        case list() if all(isinstance(item, dict) and _is_flat(item) for item in value):
            return " ".join(_shorthand(item) for item in value)
        case dict() if _is_flat(value):
            return _shorthand(value)
        case list() | dict():
            return shlex.quote(json.dumps(value))
        case _:
            return shlex.quote(str(value))


def _is_flat(value: Mapping[str, Any]) -> bool:
    return all(not isinstance(item, list | dict) and _PLAIN.fullmatch(str(item)) for item in value.values())


def _shorthand(value: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={item}" for key, item in value.items())


# boto3.


def boto3_text(example: Example, values: Mapping[str, str]) -> str:
    """Return the program. It leaves the response in the variable `response`."""
    arguments = {name: _python(value) for name, value in filled(example.input, values).items()}
    call = _call(
        f"response = ivs.{xform_name(example.operation)}(", [f"{name}={text}" for name, text in arguments.items()], ")"
    )
    imports = ["import boto3"]
    if any("Path(" in text for text in arguments.values()):
        imports = ["from pathlib import Path", "", *imports]
    return "\n".join([*imports, "", 'ivs = boto3.client("ivs-realtime")', call, "print(response)"])


def _python(value: Any) -> str:  # noqa: ANN401 - JSON
    path = _file(value)
    if path is not None:
        return f'Path("{path}").read_text()'
    match value:
        case bool():
            return str(value)
        case list():
            return "[" + ", ".join(_python(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f'"{key}": {_python(item)}' for key, item in value.items()) + "}"
        case _:
            return json.dumps(value)


def _call(start: str, arguments: list[str], end: str) -> str:
    line = start + ", ".join(arguments) + end
    if len(line) <= WIDTH or not arguments:
        return line
    return start + "".join(f"\n    {argument}," for argument in arguments) + f"\n{end}"


# JavaScript.


def javascript_text(example: Example, values: Mapping[str, str]) -> str:
    """Return the program, an ES module. It logs the response."""
    members = {name: _javascript(value) for name, value in filled(example.input, values).items()}
    command = f"{example.operation}Command"
    imports = sorted([command, "IVSRealTimeClient"])
    lines = [f'import {{ {", ".join(imports)} }} from "@aws-sdk/client-ivs-realtime";']
    if any("readFileSync(" in text for text in members.values()):
        lines.append('import { readFileSync } from "node:fs";')
    lines += ["", "const ivs = new IVSRealTimeClient();", _send(command, members), "console.log(response);"]
    return "\n".join(lines)


def _send(command: str, members: Mapping[str, str]) -> str:
    start, end = f"const response = await ivs.send(new {command}(", "));"
    inner = ", ".join(f"{name}: {text}" for name, text in members.items())
    line = f"{start}{{ {inner} }}{end}" if members else f"{start}{{}}{end}"
    if len(line) <= WIDTH:
        return line
    return f"{start}{{" + "".join(f"\n  {name}: {text}," for name, text in members.items()) + f"\n}}{end}"


def _javascript(value: Any) -> str:  # noqa: ANN401 - JSON
    path = _file(value)
    if path is not None:
        return f'readFileSync("{path}", "utf8")'
    match value:
        case list():
            return "[" + ", ".join(_javascript(item) for item in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{_key(key)}: {_javascript(item)}" for key, item in value.items()) + " }"
        case _:
            return json.dumps(value)


def _key(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) else json.dumps(key)

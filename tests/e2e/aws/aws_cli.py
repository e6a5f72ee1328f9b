"""The AWS CLI, and the examples on its reference pages, which the package `awscli` contains."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tests.e2e.aws.valid_inputs import Json
from tests.e2e.server import RunningServer

_PACKAGE = find_spec("awscli")
assert _PACKAGE is not None, "awscli is not installed"
assert _PACKAGE.origin is not None
# The package is not imported: it puts its own botocore, with other files of models, in the place of the installed one.
PAGES = Path(_PACKAGE.origin).parent / "examples" / "ivs-realtime"
TIMEOUT_SECONDS = 60

_COMMAND = re.compile(r"^    aws ivs-realtime .*\n(?:    .+\n)*", re.MULTILINE)
_OUTPUT = re.compile(r"^Output::\n\n((?:    .*\n|\n)*)", re.MULTILINE)
_CONTINUED = re.compile(r"\\[ ]*\n[ ]*")


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A documented command as words, and its documented output: None if there is none or if it is not JSON."""

    words: tuple[str, ...]
    output: Json


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The exit code and the output of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Json:
        """The decoded output, which must be JSON; None if there is none. Asserts that the command succeeded."""
        assert self.exit_code == 0, self.stderr
        return json.loads(self.stdout) if self.stdout else None


def documented(page: str) -> list[Example]:
    """Return the examples of one reference page.

    A command continues after a backslash at the end of a line. Some pages have a blank after the backslash, or a
    backslash inside quotes, which a shell would not accept; here both continue the command.
    """
    examples = []
    content = (PAGES / f"{page}.rst").read_text(encoding="utf-8")
    commands = list(_COMMAND.finditer(content))
    ends = [command.start() for command in commands[1:]] + [len(content)]
    for command, end in zip(commands, ends, strict=True):
        words = shlex.split(_CONTINUED.sub(" ", command.group()))
        output = _OUTPUT.search(content, command.end(), end)
        examples.append(Example(words=tuple(words), output=_json_or_none(output.group(1)) if output else None))
    return examples


def _json_or_none(output: str) -> Json:
    try:
        return json.loads(output)
    except json.JSONDecodeError:
        return None


def run(server: RunningServer, example: Example, *, region: str) -> Outcome:
    """Run a documented command unchanged, with the endpoint, the access key and the region in the environment."""
    program, *words = example.words
    assert program == "aws"
    environment = {**server.environment, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_PAGER": ""}
    command = [str(Path(sys.executable).with_name("aws")), *words]
    completed = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    return Outcome(exit_code=completed.returncode, stdout=completed.stdout, stderr=completed.stderr)

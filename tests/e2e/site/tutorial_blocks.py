"""The tutorials as a reader follows them: files are written, commands run in one shell, outputs are compared.

A fenced block whose title has a suffix is a file, as in title="app.py". A block of the language `sh` is a command. A
block of the language `text` shows the output of the command before it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from contrib.site.repository_pages import ROOT

FOLDER = ROOT / "docs" / "tutorials"
ADDRESS = "http://127.0.0.1:8080"
"""The address of the server in the tutorials."""

SERVERS = ("stagebook serve", "python3 -m http.server")
"""Commands that serve until they are stopped. The tests run such servers themselves, on free ports."""

_FENCED = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NAMES = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")
_END = "the end of the block"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A fenced block."""

    language: str
    title: str
    text: str

    @property
    def is_file(self) -> bool:
        """Whether the block is the content of a file, whose name is its title."""
        return bool(re.fullmatch(r"[\w/.-]+\.\w+", self.title))

    @property
    def is_command(self) -> bool:
        """Whether the block is to be run in the shell."""
        return self.language == "sh" and not self.text.startswith(SERVERS)


def blocks(tutorial: str) -> Iterator[Block]:
    """Yield the blocks of a tutorial in their order."""
    for language, title, text in _FENCED.findall((FOLDER / tutorial).read_text(encoding="utf-8")):
        yield Block(language=language, title=title, text=text)


class CommandFailedError(Exception):
    """A command of a tutorial failed. The message has it and what it printed."""


class Shell:
    """One shell, in which the commands of a tutorial run one after another. Close it after use."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, endpoint_url: str) -> None:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        self._endpoint_url = endpoint_url
        self._bash = subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail"],
            cwd=folder,
            env={**environment, "PATH": programs, "AWS_PAGER": "", "COLUMNS": "120"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run a command and return its output. Raises CommandFailedError if it fails."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        # The command reads nothing of what follows it.
        self._bash.stdin.write(f"{{ {command.replace(ADDRESS, self._endpoint_url)}\n}} </dev/null\necho '{_END}'\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line == f"{_END}\n":
                return "".join(lines)
            lines.append(line)
        raise CommandFailedError(f"{command}\n{''.join(lines)}")

    def close(self) -> None:
        """End the shell."""
        self._bash.kill()
        self._bash.communicate()


def follow(steps: Iterator[Block], shell: Shell, folder: Path) -> None:
    """Write the files, run the commands, and check that outputs have the names in capitals that the tutorial shows."""
    output = ""
    for block in steps:
        if block.is_file:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.is_command:
            output = shell.run(block.text)
        elif block.language == "text":
            missing = [name for name in _NAMES.findall(block.text) if len(name) > 1 and name not in output]
            assert not missing, f"{block.text}\n{output}"

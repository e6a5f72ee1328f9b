"""The commands of README's first session, with the outputs that it shows.

A command runs with the ids of this run instead of the documented ones: each output that README shows teaches which id
stands for which.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

README = Path(__file__).parents[3] / "README.md"
_FENCED = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = r"[A-Za-z0-9]{12}"
_IDS = re.compile(
    rf'(?<=stage/){_ID}|\bst-[A-Za-z0-9]{{13}}\b|(?<="participantId": "){_ID}|(?<=Publisher ){_ID}|(?<=^"){_ID}(?="$)',
    re.MULTILINE,
)
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ANYTHING = "...\n"
"""The line with which README leaves out the rest of an output."""


class SessionStep(msgspec.Struct, frozen=True, kw_only=True):
    """A command and the output that README shows; empty if it shows none."""

    command: str
    output: str


def readme_steps(section: str) -> Iterator[SessionStep]:
    """Yield the commands of the console blocks in a section of README, in their order."""
    text = README.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for block in _FENCED.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, output = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]  # a command has a line
            yield SessionStep(command=command, output=output)


class DocumentedIds:
    """The ids of this run by the documented ones."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def translate(self, command: str) -> str:
        """Return a command with the ids of this run."""
        for documented, found in self._found.items():
            command = command.replace(documented, found)
        return command

    def learn(self, documented: str, found: str) -> None:
        """Learn the ids of an output from its documented form."""
        self._found |= dict(zip(_IDS.findall(documented), _IDS.findall(found), strict=False))


def shape_of(output: str) -> str:
    """Return an output with a mark instead of each id and each time."""
    return _TIMES.sub("<time>", _IDS.sub("<id>", output))

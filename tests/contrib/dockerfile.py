"""The instructions of the Dockerfile."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction, its lines joined, and the number of its stage, from 0."""

    keyword: str
    value: str
    stage: int

    def pairs(self) -> dict[str, str]:
        """Return the names and values of ENV or LABEL."""
        return dict(part.split("=", 1) for part in shlex.split(self.value))

    def command(self) -> list[str]:
        """Return the words of an exec form: what follows the options is a JSON list."""
        found: list[str] = json.loads(self.value[self.value.index("[") :])
        return found


def dockerfile() -> Iterator[Instruction]:
    """Yield the instructions of the Dockerfile in their order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    stage = -1
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            keyword, _, value = line.strip().partition(" ")
            stage += keyword == "FROM"
            yield Instruction(keyword=keyword, value=" ".join(value.split()), stage=stage)


def all_of(keyword: str, *, stage: int) -> list[Instruction]:
    """Return the instructions of one kind in a stage."""
    return [each for each in dockerfile() if each.keyword == keyword and each.stage == stage]


BUILD, RUN_TIME = 0, 1
"""The stages."""

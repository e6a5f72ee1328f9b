"""A fuzzing campaign: every target gets the same share of the time, each in a process of its own.

What a target's fuzzer finds is kept in `.fuzz/<target>`, so that the next campaign goes on from there:

    seeds/     the committed inputs of the target
    corpus/    inputs that reach new branches
    defects/   inputs that break the contract, or that take longer than TIMEOUT_SECONDS or too much memory
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.fuzz.all_targets import TARGETS

FOLDER = Path(".fuzz")
TIMEOUT_SECONDS = 20
"""For one input. The contract bounds operations; this one ends what an operation of a C library does not."""
MEMORY_LIMIT_MB = 1_024
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_FEATURES = re.compile(r"ft: (\d+)")
_STARTED = "INITED"
_WORD_ENDS = re.compile(rb"[\r\n,;]+")
MAX_WORD_BYTES = 60
_TAIL_CHARACTERS = 4_000


class FuzzResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the fuzzer of one target did. `features` are the branches, with the counts that they were taken."""

    target: str
    executions: int
    features: int
    corpus_inputs: int
    defects: tuple[Path, ...]
    failure: str
    """The end of the fuzzer's output, if it did not end normally."""


class Repeatable(msgspec.Struct, frozen=True, kw_only=True):
    """A run that makes the same inputs each time, as long as the targets and their corpora are the same."""

    seed: int
    executions: int
    """For each target."""


def run_campaign(
    names: Iterable[str], *, seconds: float, jobs: int, repeatable: Repeatable | None = None
) -> Iterator[FuzzResult]:
    """Run the fuzzers of these targets, `jobs` at a time, for about `seconds` altogether. Yield their results."""
    chosen = list(names)
    share_seconds = max(1, round(seconds * jobs / len(chosen)))
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda name: fuzz(name, seconds=share_seconds, repeatable=repeatable), chosen)


def fuzz(name: str, *, seconds: int, repeatable: Repeatable | None = None) -> FuzzResult:
    """Run the fuzzer of one target."""
    corpus, defects = _prepare(name)
    known_defects = set(defects.iterdir())
    options = {
        "max_total_time": seconds,
        "timeout": TIMEOUT_SECONDS,
        "rss_limit_mb": MEMORY_LIMIT_MB,
        "artifact_prefix": f"{defects}/",
        "print_final_stats": 1,
    }
    words = FOLDER / name / "words"
    if words.stat().st_size:  # The fuzzer refuses an empty one, which inputs without short words have.
        options["dict"] = words
    if repeatable is not None:
        options |= {"seed": repeatable.seed, "runs": repeatable.executions}
    module = TARGETS[name].check.__module__
    command = [sys.executable, "-m", "tests.fuzz.run_target", module, name]
    command += [f"-{option}={value}" for option, value in options.items()]
    command += [str(corpus), str(FOLDER / name / "seeds")]
    # The order of a set of strings is part of what the fuzzer sees of the code.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", env=environment)
    output = ended.stdout + ended.stderr
    return FuzzResult(
        target=name,
        executions=_last_number(_EXECUTIONS, output),
        features=_last_number(_FEATURES, output),
        corpus_inputs=len(list(corpus.iterdir())),
        defects=tuple(sorted(set(defects.iterdir()) - known_defects)),
        failure="" if ended.returncode == 0 and _STARTED in output else output[-_TAIL_CHARACTERS:],
    )


def _prepare(name: str) -> tuple[Path, Path]:
    """Write the seeds and the words of a target; return the folders of its corpus and its defects."""
    seeds, corpus, defects = (FOLDER / name / part for part in ("seeds", "corpus", "defects"))
    for folder in (seeds, corpus, defects):
        folder.mkdir(parents=True, exist_ok=True)
    for number, (_, data) in enumerate(TARGETS[name].inputs()):
        (seeds / str(number)).write_bytes(data)
    lines = [f'"{word}"\n' for word in sorted(set(_words(name)))]
    (FOLDER / name / "words").write_text("".join(lines), encoding="ascii")
    return corpus, defects


def _words(name: str) -> Iterator[str]:
    """Yield the lines and words of a target's inputs, as the fuzzer reads them: it inserts them into other inputs."""
    for _, data in TARGETS[name].inputs():
        for word in _WORD_ENDS.split(data):
            if 1 < len(word) <= MAX_WORD_BYTES:
                yield "".join(f"\\x{byte:02x}" for byte in word)


def _last_number(pattern: re.Pattern[str], output: str) -> int:
    found = pattern.findall(output)
    return int(found[-1]) if found else 0

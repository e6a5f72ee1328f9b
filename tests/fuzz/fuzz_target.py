"""What a fuzz target is: a parser of a stranger's input, and the contract that it holds for any bytes.

The contract has three parts. `check` tests the first two, and the operations bound is the third:

* Only the documented errors escape. `check` catches these and no others.
* Invariants hold, such as: what was parsed can be written, and is then parsed as the same value.
* The work is linear in the size of the input. `check_work` counts the bytecodes of `check`, its own ones included, so
  the bounds are generous. They exclude work that grows faster than the input, not a slow parser.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.media.rtc.operation_count import count_operations

CORPUS = Path(__file__).parent / "corpus"


class FuzzTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One target. `check` raises nothing for any input of at most `max_size_bytes`, unless there is a defect.

    `seeds` are valid inputs, from which a fuzzer starts. Those that are not in other test data are files in the folder
    of the target below `corpus`. There are also the inputs that once were a defect, and some inputs that fuzzers have
    found to reach further branches (`found-`).
    """

    name: str
    check: Callable[[bytes], None]
    max_size_bytes: int
    seeds: tuple[bytes, ...] = ()
    operations_per_byte: int = 100
    operations_per_input: int = 20_000

    def inputs(self) -> Iterator[tuple[str, bytes]]:
        """Yield the committed inputs by name: the files of the corpus, and the seeds."""
        for path in sorted((CORPUS / self.name).glob("*")):
            yield path.name, path.read_bytes()
        for number, seed in enumerate(self.seeds):
            yield f"seed-{number}", seed

    def check_work(self, data: bytes, *, factor: int = 1) -> None:
        """Check an input and the number of operations that it takes.

        `factor` stands for the operations that an instrumentation of the code adds.
        """
        # Once before: caches and imports of the first call are not the work for an input.
        self.check(data)
        limit = (self.operations_per_input + self.operations_per_byte * len(data)) * factor
        count = count_operations(lambda: self.check(data))
        assert count <= limit, f"{len(data)} bytes take {count} operations; at most {limit} are allowed"


def split_sized(data: bytes, *, most: int = 64) -> list[bytes]:
    """Split an input into parts, each behind its 16-bit size: the datagrams or reads of one peer, in order."""
    parts: list[bytes] = []
    position = 0
    while position + 2 <= len(data) and len(parts) < most:
        end = position + 2 + int.from_bytes(data[position : position + 2])
        parts.append(data[position + 2 : end])
        position = end
    return parts


def join_sized(parts: list[bytes]) -> bytes:
    """Return the input that `split_sized` splits into these parts."""
    return b"".join(len(part).to_bytes(2) + part for part in parts)

"""One fuzz target under atheris: `python -m tests.fuzz.run_target MODULE NAME [ARGUMENT OF LIBFUZZER ...]`.

atheris instruments the modules of the product as they are imported, so that the fuzzer sees which branches an input
reaches. Counting operations is slow, so it is done for one input of a hundred, chosen by a checksum of the input: the
same input is always treated alike.
"""

import importlib
import logging
import sys
import zlib

import atheris
import structlog

from tests.fuzz.fuzz_target import FuzzTarget

WORK_SAMPLE = 100
INSTRUMENTATION_FACTOR = 8
"""How many operations atheris adds to each one of the product, at most."""


def main() -> None:
    """Run the fuzzer. It ends the process: with 0 after the time of `-max_total_time`, with 77 at a defect."""
    # Warnings are about what clients do, and there are thousands per second. An error is a defect.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    module_name, target_name, *arguments = sys.argv[1:]
    # Not all targets, because instrumenting the whole product takes ten seconds.
    with atheris.instrument_imports(include=["stagebook"]):
        module = importlib.import_module(module_name)
    target: FuzzTarget = next(target for target in module.TARGETS if target.name == target_name)

    def run(data: bytes) -> None:
        if zlib.crc32(data) % WORK_SAMPLE:
            target.check(data)
        else:
            target.check_work(data, factor=INSTRUMENTATION_FACTOR)

    atheris.Setup([sys.argv[0], f"-max_len={target.max_size_bytes}", *arguments], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""`python -m tests.fuzz [TARGET ...] [OPTION ...]`: fuzz all or some targets; exit with 1 at a defect."""

import argparse
import importlib.util
import os
import sys

from tests.fuzz.all_targets import TARGETS
from tests.fuzz.campaign import Repeatable, run_campaign


def main() -> int:
    """Fuzz the targets and print a line for each."""
    arguments = _parse()
    if importlib.util.find_spec("atheris") is None:
        print("nothing is fuzzed: atheris is not available for this system and version of Python")
        return 0
    failing = 0
    print(f"{'target':<20}{'executions':>12}{'features':>10}{'corpus':>8}", flush=True)
    repeatable = None if arguments.seed is None else Repeatable(seed=arguments.seed, executions=arguments.executions)
    results = run_campaign(
        arguments.targets or TARGETS, seconds=arguments.seconds, jobs=arguments.jobs, repeatable=repeatable
    )
    for result in results:
        print(
            f"{result.target:<20}{result.executions:>12,}{result.features:>10,}{result.corpus_inputs:>8,}", flush=True
        )
        if result.failure:
            failing += 1
            print(result.failure)
            print(
                f"{result.target}: the defects are in {', '.join(map(str, result.defects)) or 'no file'}\n", flush=True
            )
    print(f"{failing} targets with a defect" if failing else "no defect")
    return 1 if failing else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz the parsers of what strangers send.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; all of them by default")
    parser.add_argument("--seconds", type=float, default=600, help="time for all targets together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="fuzzers that run at the same time")
    parser.add_argument("--seed", type=int, help="make the same inputs in each run, --executions for each target")
    parser.add_argument("--executions", type=int, default=10_000, help="with --seed; --seconds is a limit then")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())

"""The report of a soak test: tables of what was measured, and what does not meet the requirements."""

import itertools
from collections.abc import Sequence
from operator import attrgetter

from tests.soak import verdict
from tests.soak.process_memory import MemorySample
from tests.soak.soak_job import LoadResult, Phase, SoakJob
from tests.soak.verdict import OWN_LAG, Finding

_LATENCY_HEADER = """| operation | quiet | p50 ms | p99 ms | attack | p50 ms | p99 ms | factor |
|---|---|---|---|---|---|---|---|"""
_SERIES_HEADER = "\n".join(
    [
        "| MiB over time, from the quiet phase to the end |" + " |" * verdict.SERIES_POINTS,
        "|---|" + "---|" * verdict.SERIES_POINTS,
    ]
)
_MEMORY_HEADER = "| process | quiet MiB | early attack | late attack | peak |\n|---|---|---|---|---|"


def print_report(
    job: SoakJob,
    honest: LoadResult,
    attackers: LoadResult,
    samples: Sequence[MemorySample],
    findings: Sequence[Finding],
) -> int:
    """Print the tables, the findings and what is not met; return the exit code."""
    _print_load(honest, attackers)
    judged = [*_print_latencies(job, honest, attackers), *_print_memory(job, samples), *findings]
    print(*(finding.text for finding in findings), sep="\n")
    unmet = [finding.text for finding in judged if not finding.is_met]
    print("\nAll requirements are met." if not unmet else "\nNot met:\n" + "\n".join(unmet))
    return 1 if unmet else 0


def _print_load(honest: LoadResult, attackers: LoadResult) -> None:
    print("\nAttacks:", *(f"  {name}: {count:,}" for name, count in sorted(attackers.outcomes.items())), sep="\n")
    statuses = sorted((honest.statuses | attackers.statuses).items())
    print("\nResponses:", *(f"  {name}: {count:,}" for name, count in statuses), sep="\n")


def _print_latencies(job: SoakJob, honest: LoadResult, attackers: LoadResult) -> list[Finding]:
    findings = [
        verdict.judge_latency(name, found, job)
        for name, found in sorted(honest.latencies.items())
        if found.keys() & {Phase.QUIET, Phase.ATTACK}
    ]
    lag = [
        f"{verdict.show_latency(name, found)} |"
        for name, found in attackers.latencies.items()
        if name.startswith(OWN_LAG)
    ]
    print(f"\n{_LATENCY_HEADER}", *(finding.text for finding in findings), *lag, sep="\n")
    return findings


def _print_memory(job: SoakJob, samples: Sequence[MemorySample]) -> list[Finding]:
    process_of = attrgetter("process")
    grouped = itertools.groupby(sorted(samples, key=process_of), process_of)
    by_process = {process: list(found) for process, found in grouped}
    findings = [verdict.judge_memory(process, found, job) for process, found in by_process.items()]
    print(f"\n{_MEMORY_HEADER}", *(finding.text for finding in findings), sep="\n")
    series = [verdict.show_memory(process, found, job) for process, found in by_process.items()]
    print(f"\n{_SERIES_HEADER}", *series, sep="\n", end="\n\n")
    return findings

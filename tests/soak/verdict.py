"""What a soak test requires, as pure functions of what was measured."""

from collections.abc import Sequence

import msgspec

from bench.figures import median, percentile
from tests.soak.process_memory import MemorySample
from tests.soak.soak_job import LoadResult, Phase, SoakJob

LATENCY_FACTOR = 2.0
"""How many times the quiet p99 an honest client may see under attack."""
MINIMUM_ATTACK_SECONDS = 300.0
MINIMUM_SAMPLES = 1_000
"""In a shorter run a busy moment of the machine decides about the p99. With fewer samples, less than ten are above it.
Latencies are then shown and not judged."""
MINIMUM_SHOWN_SAMPLES = 50
"""With fewer samples in a phase, its p99 is one moment, and no factor is shown."""
OWN_LAG = "lag of"
"""The beginning of the names of latencies that are the load's own. They are not judged."""
FLAT_BYTES = 24 << 20
FLAT_SHARE = 0.10
"""How much a process may grow between the second and the last quarter of the attack: the larger of the two."""
SERIES_POINTS = 12
_MIB = 1 << 20


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement: what was measured, and whether it is met."""

    text: str
    is_met: bool


def judge_latency(operation: str, latencies: dict[Phase, list[float]], job: SoakJob) -> Finding:
    """Compare the p99 of an operation under attack with the quiet one."""
    text = show_latency(operation, latencies)
    quiet, attack = latencies.get(Phase.QUIET, []), latencies.get(Phase.ATTACK, [])
    samples = min(len(quiet), len(attack))
    if operation.startswith(OWN_LAG) or samples < MINIMUM_SHOWN_SAMPLES:
        return Finding(text=f"{text} |", is_met=True)
    factor = percentile(attack, 99) / percentile(quiet, 99)
    is_judged = samples >= MINIMUM_SAMPLES and job.end_at - job.attack_from >= MINIMUM_ATTACK_SECONDS
    return Finding(text=f"{text} {factor:.2f} |", is_met=factor <= LATENCY_FACTOR or not is_judged)


def show_latency(operation: str, latencies: dict[Phase, list[float]]) -> str:
    """Return the cells of an operation: the number of samples, p50 and p99 of each phase in ms."""
    cells = [operation]
    for phase in (Phase.QUIET, Phase.ATTACK):
        values = latencies.get(phase, [])
        cells.append(f"{len(values):,}")
        cells += [f"{1_000 * percentile(values, percent):.1f}" if values else "" for percent in (50, 99)]
    return f"| {' | '.join(cells)} |"


def judge_memory(process: str, samples: Sequence[MemorySample], job: SoakJob) -> Finding:
    """Require that a process is not larger at the end of the attack than when it had begun."""
    length = job.end_at - job.attack_from
    quiet = _resident(samples, job.quiet_from, job.attack_from)
    early = _resident(samples, job.attack_from + 0.25 * length, job.attack_from + 0.5 * length)
    late = _resident(samples, job.attack_from + 0.75 * length, job.end_at)
    if not quiet or not early or not late:
        return Finding(text=f"| {process} | started or ended during the test | | | |", is_met=False)
    peak = max(sample.resident_bytes for sample in samples)
    figures = [median(quiet), median(early), median(late), peak]
    growth = figures[2] - figures[1]
    cells = " | ".join(f"{figure / _MIB:.0f}" for figure in figures)
    return Finding(text=f"| {process} | {cells} |", is_met=growth <= max(FLAT_BYTES, FLAT_SHARE * figures[1]))


def show_memory(process: str, samples: Sequence[MemorySample], job: SoakJob) -> str:
    """Return the cells of a process: its size in MiB at SERIES_POINTS times from the quiet phase to the end."""
    step = (job.end_at - job.quiet_from) / SERIES_POINTS
    cells = [process]
    for number in range(SERIES_POINTS):
        found = _resident(samples, job.quiet_from + number * step, job.quiet_from + (number + 1) * step)
        cells.append(f"{median(found) / _MIB:.0f}" if found else "")
    return f"| {' | '.join(cells)} |"


def judge_statuses(results: Sequence[LoadResult]) -> Finding:
    """Require that no response, of an attacker either, has a status of 5xx."""
    counts = [item for result in results for item in result.statuses.items()]
    bad = {name: count for name, count in counts if name.split()[-1].startswith("5")}
    return Finding(text=f"responses with 5xx: {bad or 'none'}", is_met=not bad)


def judge_failures(honest: LoadResult) -> Finding:
    """Require that nothing failed for an honest client."""
    return Finding(text=f"failures of honest clients: {honest.outcomes or 'none'}", is_met=not honest.outcomes)


def judge_book(joined_count: int, without_left: Sequence[str]) -> Finding:
    """Require that all participants that joined have left."""
    text = f"JOINED events: {joined_count:,}, without LEFT: {len(without_left)} {' '.join(without_left[:10])}"
    return Finding(text=text.rstrip(), is_met=joined_count > 0 and not without_left)


def judge_log(lines: Sequence[str]) -> Finding:
    """Require that the server logged no error and no traceback."""
    bad = [line for line in lines if "level=error" in line or line.startswith("Traceback")]
    return Finding(text=f"errors in the server's log: {len(bad)} {bad[:3] or ''}".rstrip(), is_met=not bad)


def _resident(samples: Sequence[MemorySample], since: float, until: float) -> list[int]:
    return [sample.resident_bytes for sample in samples if since <= sample.time < until]

"""The long simulation: `python -m tests.manager.simulation --seeds 10000`, or one seed again: `--seed 123`."""

import argparse
import contextlib
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import structlog

from tests.book.postgres_books import shared_database
from tests.manager.simulation.simulate import Progress, simulate, simulate_on_postgres
from tests.postgres_server import running_server


def simulate_seed(seed: int, *, server_url: str | None = None) -> tuple[int, str, Progress | None]:
    """Run one seed; return it, the traceback of a failure ("" for none), and what occurred.

    With `server_url`, on a book in a database of this process on that PostgreSQL server.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            if server_url is not None:
                with shared_database(server_url) as url:
                    return seed, "", simulate_on_postgres(seed, url)
            return seed, "", simulate(seed, Path(folder))
        except Exception:  # noqa: BLE001 - a failing seed is the result, whatever it raised
            return seed, traceback.format_exc(), None


def _log_errors_only() -> None:
    """Leave out what the simulated clients cause: some lines for each seed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def main() -> int:
    """Run the seeds on all cores; print the failing ones and what occurred."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="number of seeds")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seed", type=int, help="run only this seed")
    parser.add_argument("--book", choices=("sqlite", "postgres"), default="sqlite", help="where the book is")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as servers:
        server_url = None
        if arguments.book == "postgres":
            server_url = servers.enter_context(running_server(fsync=False)).url()
        return _run_seeds(arguments, partial(simulate_seed, server_url=server_url))


def _run_seeds(arguments: argparse.Namespace, simulate_one: Callable[[int], tuple[int, str, Progress | None]]) -> int:
    seeds = range(arguments.first, arguments.first + arguments.seeds) if arguments.seed is None else [arguments.seed]
    started, progress, failing = time.monotonic(), Progress(), []
    with ProcessPoolExecutor(initializer=_log_errors_only) as pool:
        for number, (seed, failure, occurred) in enumerate(pool.map(simulate_one, seeds, chunksize=10), start=1):
            if failure:
                failing.append(seed)
                print(f"seed {seed} fails:\n{failure}", flush=True)
            elif occurred is not None:
                progress.add(occurred)
            if number % 500 == 0:
                print(f"{number} seeds, {len(failing)} failing, {time.monotonic() - started:.0f} s", flush=True)
    for member in progress.__struct_fields__:
        print(f"{member}: {dict(getattr(progress, member).most_common())}")
    print(f"{len(seeds)} seeds, failing: {failing or 'none'}")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench [PART ...] [--write FILE]`: run some or all parts and print their reports."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from bench import machine
from bench.accounts.run import measure_accounts
from bench.appends.run import measure_appends
from bench.cluster.run import measure_nodes
from bench.composition.run import measure_composition
from bench.drawing.run import measure_drawing
from bench.engines.run import measure_engines
from bench.export.run import measure_export
from bench.forwarder.run import measure_forwarder
from bench.ingest.run import measure_ingest
from bench.join.run import measure_join
from bench.page.run import measure_page
from bench.postgres.appends import appends_table
from bench.postgres.pages import pages_table
from bench.recorder.run import measure_recorder
from bench.recovery.run import measure_recovery
from bench.report import Part, Table, document, replace_measured, targets_table, verdict
from bench.retention.run import measure_retention
from bench.search.run import measure_search
from bench.streams.run import measure_streams
from bench.timeline.run import measure_timeline
from stagebook.server.logs import configure_logging

PARTS: dict[str, Callable[[Path], Part]] = {
    "page": measure_page,
    "appends": measure_appends,
    "forwarder": measure_forwarder,
    "engines": measure_engines,
    "join": measure_join,
    "ingest": measure_ingest,
    "recorder": measure_recorder,
    "composition": measure_composition,
    "recovery": measure_recovery,
    "accounts": measure_accounts,
    "nodes": measure_nodes,
    "retention": measure_retention,
    "timeline": measure_timeline,
    "search": measure_search,
    "streams": measure_streams,
    "export": measure_export,
    "drawing": measure_drawing,
}
BESIDE_POSTGRES: dict[str, Callable[[Path], Table]] = {"appends": appends_table, "page": pages_table}
"""Parts that can also compare the book in PostgreSQL with that in SQLite."""
WORK_FOLDER = Path(".bench")


def main() -> int:
    """Run the selected parts. Books are built in the working directory, as /tmp may be in memory."""
    arguments = _parse()
    machine.require_linux()
    configure_logging(level="warning", form="text")
    WORK_FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK_FOLDER) as folder:
        machine_description = machine.describe_machine(Path(folder))
        print(machine_description, flush=True)
        parts = []
        for name in arguments.parts or PARTS:
            part = PARTS[name](Path(folder))
            if arguments.book == "postgres" and name in BESIDE_POSTGRES:
                part = replace(part, tables=(*part.tables, BESIDE_POSTGRES[name](Path(folder))))
            print(f"\n{part.markdown()}", flush=True)
            parts.append(part)
    targets = [target for part in parts for target in part.targets]
    print(f"\n## Targets\n\n{targets_table(targets).markdown()}\n\n{verdict(targets)}")
    if arguments.write is not None:
        page = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(replace_measured(page, document(machine_description, parts)), encoding="utf-8")
    return 0


def _parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Stagebook on this machine, about 15 minutes.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them by default")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the results between the marks of this page")
    parser.add_argument(
        "--book",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help=f"postgres: the parts {' and '.join(BESIDE_POSTGRES)} also measure the book in PostgreSQL beside SQLite",
    )
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
